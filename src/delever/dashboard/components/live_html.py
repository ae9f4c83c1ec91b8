"""HTML that changes in place: focus, scroll position and selection stay."""

from nicegui import ui


class LiveHtml(ui.element, component="live_html.js"):
    """An element whose HTML is replaced node by node, and only where it differs.

    Elements with a `data-key` are recognized when others are inserted before them.
    """

    def __init__(self, content: str = "") -> None:
        super().__init__()
        self._props["content"] = content

    def set_content(self, content: str) -> None:
        """Display other HTML; nothing is sent if it is the same."""
        if content != self._props["content"]:
            self._props["content"] = content
            self.update()
