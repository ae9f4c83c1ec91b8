"""A finished run or comparison as one page, and as pictures for a paper."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from delever.cli import UsageError
from delever.cli.output import say


def report(
    result: Annotated[
        Path, Parameter(help="Directory of `run --out`, or a comparison that was kept in a file.")
    ],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="The HTML file to write.")
    ] = None,
    plots: Annotated[
        Path | None, Parameter(help="Directory for every picture as PNG and SVG.")
    ] = None,
    title: Annotated[str | None, Parameter(help="Heading; the result's name if not said.")] = None,
) -> None:
    """Write a run or comparison as one self-contained HTML file, and its pictures."""
    if output is None and plots is None:
        raise UsageError("say -o FILE.html, --plots DIRECTORY, or both")
    from delever.lab.reports.run_store import read_kept  # noqa: PLC0415 - heavy

    kept = read_kept(result)
    try:
        from delever.lab.reports import html_report as page  # noqa: PLC0415
        from delever.lab.reports import run_plots as drawing  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: install delever[plot]") from None
    if output is not None:
        text = page.report_of(kept, title or f"delever: {result.resolve().stem}")
        output.write_text(text, encoding="utf-8")
        say(f"{output}: {len(text.encode()):,} bytes")
    if plots is not None:
        for file in drawing.write_plots(page.figures_of(kept), plots):
            say(str(file))
