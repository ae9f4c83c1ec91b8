"""A certificate checked with NumPy alone; no line is shared with what computed it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delever.lab.policies.plans.certificate import Certificate
from delever.lab.policies.plans.reduction import Reduction

TOLERANCE = 1e-9
"""Part of the amounts by which sums, limits and bounds may differ: rounding of float64."""

ROWS = 500


@dataclass(frozen=True, slots=True)
class CertificateCheck:
    """What a check found: the bounds as derived again, and every claim that is not true."""

    upper: float
    lower: float
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the certificate proves what it says."""
        return not self.findings

    @property
    def gap(self) -> float:
        """(upper - lower) / upper, as derived again; 0 without loss."""
        return max(self.upper - self.lower, 0.0) / self.upper if self.upper > 0 else 0.0


def check(certificate: Certificate, reduction: Reduction) -> CertificateCheck:
    """Return whether a certificate is true of a reduction, with its bounds derived again.

    The plan must be within its limits and reduce what is required; multipliers must be between 0
    and the chance of their scenario; bounds and digest must be those of these inputs. The code
    follows the definitions of `Reduction` and `Certificate`, and nothing else.

        >>> from delever import lab
        >>> reduction = lab.Reduction.of([[8.0], [4.0]], [2.0, 3.0], [[1.0], [0.75]], [6.0])
        >>> lab.check(lab.shadow_prices(reduction), reduction).ok
        True
    """
    sign = np.where(reduction.required >= 0, 1.0, -1.0)
    w, z = reduction.exposure * sign, reduction.moves * sign
    hi, q, e = reduction.limits, np.abs(reduction.required), reduction.equity
    findings = [] if certificate.digest == reduction.digest() else ["digest: of other inputs"]
    x = np.asarray(certificate.plan, float)
    if x.shape != w.shape or not np.isfinite(x).all():
        return CertificateCheck(np.inf, 0.0, (*findings, "plan: not a number for each limit"))
    scale = max(float(q.max(initial=0)), 1e-300)
    if (x < -TOLERANCE * scale).any() or (x > hi + TOLERANCE * np.maximum(hi, scale)).any():
        findings.append("plan: beyond the limits of an account")
    if (np.abs(x.sum(axis=0) - q) > TOLERANCE * np.maximum(q, 1e-300)).any():
        findings.append("plan: does not reduce what is required")
    left, upper = w - x, 0.0
    worst = np.maximum(left, 0) @ z.max(axis=0) + np.minimum(left, 0) @ z.min(axis=0)
    exposed = np.flatnonzero(worst > e)  # the others lose nothing, whatever scenarios combine
    for first in range(0, len(exposed), ROWS):
        rows = exposed[first : first + ROWS]
        loss = left[rows] @ z.T
        loss -= e[rows][:, None]
        upper += float((np.maximum(loss, 0.0, out=loss) @ reduction.chances).sum())
    lower, faults = _lower_bound(certificate, reduction, w, z, hi, q)
    findings += faults
    money = max(upper, 1.0)
    if abs(certificate.upper - upper) > TOLERANCE * money:
        findings.append(f"upper: {certificate.upper!r} is {upper!r}")
    if certificate.lower > lower + TOLERANCE * money:
        findings.append(f"lower: {certificate.lower!r} is not proved, only {lower!r}")
    return CertificateCheck(upper, lower, tuple(findings))


def _lower_bound(
    certificate: Certificate,
    reduction: Reduction,
    w: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    hi: npt.NDArray[np.float64],
    q: npt.NDArray[np.float64],
) -> tuple[float, list[str]]:
    """Return the bound that the multipliers prove, and what is wrong with them."""
    i, s = np.asarray(certificate.accounts), np.asarray(certificate.scenarios)
    y, price = np.asarray(certificate.multipliers, float), np.asarray(certificate.shadow_prices)
    inside = i.shape == s.shape == y.shape and price.shape == q.shape
    if not inside or not (np.isfinite(y).all() and np.isfinite(price).all()):
        return 0.0, ["multipliers: not a number for each account and scenario"]
    if len(i) and not (0 <= i.min() <= i.max() < len(w) and 0 <= s.min() <= s.max() < len(z)):
        return 0.0, ["multipliers: of accounts or scenarios that do not exist"]
    if len(np.unique(i * len(z) + s)) < len(i):
        return 0.0, ["multipliers: two for one account and scenario"]
    p = reduction.chances[s]
    if (y < 0).any() or (y > p * (1 + TOLERANCE)).any():
        return 0.0, ["multipliers: not between 0 and the chance of the scenario"]
    weighted = np.zeros_like(w)
    np.add.at(weighted, i, y[:, None] * z[s])
    direct = float((y * ((z[s] * w[i]).sum(axis=1) - reduction.equity[i])).sum())
    reduced = np.minimum(hi * (price - weighted), 0.0)
    return direct + float(reduced.sum()) - float(price @ q), []
