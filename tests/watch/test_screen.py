"""The table for a terminal: what venues and users write stands there letter by letter."""

import io

from numbers_read import NOW
from rich.console import Console

from delever.watch.faults import Fault, FaultKind
from delever.watch.screen import screen
from delever.watch.view import AlertView, SourceView, VenueView, View

BRACKETS = "[/v5/market] said [red]no[/red] [b]"


def test_brackets_of_a_venue_s_error_or_a_rule_s_name_are_no_markup() -> None:
    fault = Fault(
        venue="bybit",
        source="ADL alerts",
        kind=FaultKind.REFUSED,
        text=BRACKETS,
        since_ms=NOW,
        retry_ms=NOW,
    )
    source = SourceView(
        name="ADL alerts", answered_ms=None, due_ms=NOW, every_ms=60_000, weight=1, fault=fault
    )
    venue = VenueView(
        venue="bybit", keyed=False, used=1, limit=600, window_ms=5_000, skew_ms=0, sources=(source,)
    )
    alert = AlertView(rule="[/rule]", about="bybit", text=BRACKETS, since_ms=NOW)
    view = View(
        time_ms=NOW,
        venues=(venue,),
        contracts=(),
        positions=(),
        wallets=(),
        pools=(),
        fills=(),
        alerts=(alert,),
        faults=(fault,),
        undelivered=0,
    )
    written = io.StringIO()
    Console(file=written, width=200).print(screen(view))
    assert written.getvalue().count(BRACKETS) == 2
    assert "[/rule]" in written.getvalue()
