"""The frame around a notice's words; a directory of one's own replaces it.

`notice.txt` (its first line is `Subject: ...`, then a blank line) and `notice.html` serve every
kind of notice; `KIND.txt` and `KIND.html`, such as `position_deleveraged.txt`, take their place for
one kind. A template sees `title`, `lines`, `notice`, `kind`, `account`, `contract`, `sequence`,
`time`, `time_ms` and `numbers`, which is what a webhook gets as `data`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from delever.config import ConfigError

SUBJECT = "Subject: "


class Page(NamedTuple):
    """A notice as a mail shows it."""

    subject: str
    text: str
    html: str


class Templates:
    """The built-in templates, under those of a directory if one is given.

    Raises ConfigError where there is no such directory or one of its templates is not written as a
    template.
    """

    def __init__(self, directory: str = "") -> None:
        loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("delever.server.notifications")]
        if directory:
            if not Path(directory).is_dir():
                raise ConfigError(f"notices.templates = {directory!r}: is no directory")
            loaders.insert(0, jinja2.FileSystemLoader(directory))
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(loaders),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )
        self._compile_all()

    def _compile_all(self) -> None:
        for name in self._environment.list_templates(["txt", "html"]):
            try:
                self._environment.get_template(name)
            except (jinja2.TemplateSyntaxError, UnicodeDecodeError) as error:
                raise ConfigError(f"notices.templates: {name}: {error}") from error

    def page(self, data: Mapping[str, Any]) -> Page:
        """Return the mail of a notice; jinja2.TemplateError where a template cannot say it."""
        text = self._render(data, "txt")
        first, _, rest = text.partition("\n")
        if not first.startswith(SUBJECT):
            raise jinja2.TemplateRuntimeError(f"the first line is not {SUBJECT!r}: {first!r}")
        subject = " ".join(first.removeprefix(SUBJECT).split())
        return Page(subject, rest.removeprefix("\n"), self._render(data, "html"))

    def _render(self, data: Mapping[str, Any], kind: str) -> str:
        names = [f"{data['kind']}.{kind}", f"notice.{kind}"]
        template = self._environment.select_template(names)
        try:
            return template.render(data)
        except Exception as error:  # a template may do anything
            said = f"{template.name}: {type(error).__name__}: {error}"
            raise jinja2.TemplateRuntimeError(said) from error
