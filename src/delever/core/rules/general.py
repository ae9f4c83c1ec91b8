"""What holds under every venue's rules."""

from delever.core.rules.ruleset import Rule


def _own(number: int, says: str) -> Rule:
    return Rule(f"CORE-{number:02d}", says, "", "official")


GENERAL: tuple[Rule, ...] = ()
