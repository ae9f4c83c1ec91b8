"""A certificate with the inputs that it is about, in one file that anybody can check."""

import zipfile
from pathlib import Path

import numpy as np

from delever.lab.errors import InputError
from delever.lab.policies.plans.certificate import Certificate
from delever.lab.policies.plans.reduction import Reduction

FORMAT = "delever.certificate/1"
SCALARS = ("upper", "lower", "digest")
COLUMNS = ("plan", "accounts", "scenarios", "multipliers", "shadow_prices")
INPUTS = ("exposure", "equity", "limits", "moves", "chances", "required")


def write_certificate(path: str | Path, certificate: Certificate, reduction: Reduction) -> None:
    """Write a certificate and its inputs as columns of NumPy (npz, compressed)."""
    columns = {name: getattr(certificate, name) for name in (*COLUMNS, *SCALARS)}
    columns |= {f"input_{name}": getattr(reduction, name) for name in INPUTS}
    with Path(path).open("wb") as file:
        np.savez_compressed(file, format=FORMAT, **columns)


def read_certificate(path: str | Path) -> tuple[Certificate, Reduction]:
    """Return a certificate and its inputs from a file.

    No code of the file runs. Raises InputError for a file that is no certificate.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as stored:
            if str(stored["format"]) != FORMAT:
                raise InputError(f"is not of the format {FORMAT}", file=str(path))
            columns = {name: stored[name] for name in COLUMNS}
            inputs = {name: stored[f"input_{name}"] for name in INPUTS}
            upper, lower = float(stored["upper"]), float(stored["lower"])
            digest = str(stored["digest"])
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        message = "is no certificate, or a damaged one: Plan.write_certificate writes them"
        raise InputError(message, file=str(path)) from error
    return Certificate(**columns, upper=upper, lower=lower, digest=digest), Reduction(**inputs)
