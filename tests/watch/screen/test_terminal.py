"""The terminal tables: texts of venues and users are printed literally."""

import io

from observation_samples import NOW
from rich.console import Console

from delever.watch.market_data.errors import FailureKind, SourceFailure
from delever.watch.screen.terminal import screen
from delever.watch.screen.view import AlertView, SourceView, VenueView, WatchView

BRACKETS = "[/v5/market] said [red]no[/red] [b]"


def test_brackets_in_errors_and_rule_names_are_printed_literally() -> None:
    failure = SourceFailure(
        venue="bybit",
        source="ADL alerts",
        kind=FailureKind.REJECTED,
        text=BRACKETS,
        since_ms=NOW,
        retry_ms=NOW,
    )
    source = SourceView(
        name="ADL alerts",
        answered_ms=None,
        due_ms=NOW,
        interval_ms=60_000,
        weight=1,
        failure=failure,
    )
    venue = VenueView(
        venue="bybit", keyed=False, used=1, limit=600, window_ms=5_000, skew_ms=0, sources=(source,)
    )
    alert = AlertView(rule="[/rule]", subject="bybit", text=BRACKETS, since_ms=NOW)
    view = WatchView(
        time_ms=NOW,
        venues=(venue,),
        contracts=(),
        positions=(),
        wallets=(),
        pools=(),
        fills=(),
        alerts=(alert,),
        failures=(failure,),
        undelivered=0,
    )
    printed = io.StringIO()
    Console(file=printed, width=200).print(screen(view))
    assert printed.getvalue().count(BRACKETS) == 2
    assert "[/rule]" in printed.getvalue()
