"""Certificates as files: written, read, checked by the command, and refused where unreadable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reductions import synthetic

from delever.cli import ExitCode, lab
from delever.lab.errors import InputError
from delever.lab.policies.plans.certificate import read_certificate, write_certificate
from delever.lab.policies.plans.shadow_prices import shadow_prices


def test_a_file_has_certificate_and_inputs(tmp_path: Path) -> None:
    reduction = synthetic(200, 3, 100, 4)
    certificate = shadow_prices(reduction)
    path = tmp_path / "plan.npz"
    write_certificate(path, certificate, reduction)
    read, inputs = read_certificate(path)
    assert inputs.digest() == reduction.digest() == read.digest
    assert (read.upper, read.lower) == (certificate.upper, certificate.lower)
    assert np.array_equal(read.plan, certificate.plan)


def test_the_command_checks_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reduction = synthetic(300, 3, 200, 5)
    certificate = shadow_prices(reduction)
    honest, forged = tmp_path / "honest.npz", tmp_path / "forged.npz"
    write_certificate(honest, certificate, reduction)
    write_certificate(forged, replace(certificate, upper=certificate.upper / 2), reduction)
    assert lab.check(honest) == ExitCode.SUCCESS
    assert capsys.readouterr().out.startswith("proved: expected shortfall ")
    assert lab.check(forged) == ExitCode.CHECK_FAILED
    assert "upper: " in capsys.readouterr().out
    assert lab.check(forged, json=True) == ExitCode.CHECK_FAILED
    assert '"schema": "delever.lab.check/1"' in capsys.readouterr().out


def test_what_is_no_certificate_is_an_error(tmp_path: Path) -> None:
    for name, body in (("text.npz", b"no archive"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(body)
        with pytest.raises(InputError, match="is no certificate"):
            read_certificate(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_certificate(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", format="delever.certificate/0")
    with pytest.raises(InputError, match="is not of the format"):
        read_certificate(tmp_path / "other.npz")
