"""The proof of a plan: multipliers from which anybody can derive how far it is from the best.

A certificate and the inputs that it is about fit one file, which anybody can check.
"""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delever.core.units import Floats, Ints
from delever.lab.errors import InputError
from delever.lab.policies.plans.reduction import Reduction


@dataclass(frozen=True, slots=True)
class Certificate:
    """A plan with a lower bound on the expected shortfall of every plan.

    `accounts`, `scenarios` and `multipliers` are the entries y_is above 0, each at most the chance
    of its scenario; `shadow_prices` are lambda_k, in money of expected shortfall for a unit of
    money more that is reduced of contract k. Any such numbers prove

        lower = sum y_is (z_s'w_i - E_i) + sum min(0, hi_ik (lambda_k - sum_s y_is z_sk)) - lambda'Q

    by weak duality; `upper` is the plan's own expected shortfall. `digest` is that of the inputs.
    """

    plan: Floats
    accounts: Ints
    scenarios: Ints
    multipliers: Floats
    shadow_prices: Floats
    upper: float
    lower: float
    digest: str

    @property
    def gap(self) -> float:
        """(upper - lower) / upper: no plan is better by more than this part; 0 without loss."""
        return max(self.upper - self.lower, 0.0) / self.upper if self.upper > 0 else 0.0

    def certificate_digest(self) -> str:
        """Return the BLAKE2b-256 of the whole certificate, in hexadecimal, as plans name it."""
        hashed = hashlib.blake2b(digest_size=32)
        for name in (*COLUMNS, *BOUNDS):
            kind = "<i8" if name in {"accounts", "scenarios"} else "<f8"
            column = np.ascontiguousarray(getattr(self, name), kind)
            hashed.update(f"{name}{column.shape}".encode() + column.tobytes())
        hashed.update(self.digest.encode())
        return hashed.hexdigest()


FORMAT = "delever.certificate/1"
BOUNDS = ("upper", "lower")
COLUMNS = ("plan", "accounts", "scenarios", "multipliers", "shadow_prices")
INPUTS = ("exposure", "equity", "limits", "moves", "chances", "required")


def write_certificate(path: str | Path, certificate: Certificate, reduction: Reduction) -> None:
    """Write a certificate and its inputs as columns of NumPy (npz, compressed)."""
    columns = {name: getattr(certificate, name) for name in (*COLUMNS, *BOUNDS, "digest")}
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
