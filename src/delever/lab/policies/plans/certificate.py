"""The proof of a plan: multipliers from which anybody can derive how far it is from the best."""

from dataclasses import dataclass

from delever.core.units import Floats, Ints


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
