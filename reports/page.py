"""The frame that all pages share: templates beside this file, one style sheet inside each page, everything escaped."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template


def page_template(name: str) -> Template:
    """A template of this room, ready to be filled. A name that it asks for and does not get is an error."""
    page = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return page.get_template(name)


def _text(name: str) -> str:
    return resources.files("reports").joinpath(name).read_text(encoding="utf-8")
