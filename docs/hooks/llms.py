"""Writes llms.txt into the site: every page by its place in the navigation, with its first sentence, for programs.

The form is that of llmstxt.org: a title, what it is, and lists of links under headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_KEPT: dict[str, Any] = {}
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_NO_TEXT = re.compile(r"[#<|!:`]|[-*>] |---|\d+\. ")


def on_nav(nav: Any, **_: Any) -> None:
    """Called by MkDocs when it knows the navigation; its pages get their texts later."""
    _KEPT["nav"] = nav


def on_post_build(config: Any, **_: Any) -> None:
    """Called by MkDocs at the end."""
    text = "\n".join(_lines(_KEPT["nav"].items, config))
    (Path(config["site_dir"]) / "llms.txt").write_text(f"{text}\n", encoding="utf-8")


def _lines(items: list[Any], config: Any) -> Iterator[str]:
    yield f"# {config['site_name']}\n\n> {config['site_description']}"
    yield "\nA command line and a Python package. Every command takes --json but for `ui`, which is a server."
    alone = [item for item in items if item.is_page]
    yield from ("\n## Start\n", *map(_entry, alone)) if alone else ()
    for section in items:
        if section.is_section:
            yield f"\n## {section.title}\n"
            yield from map(_entry, _pages(section))


def _pages(item: Any) -> Iterator[Any]:
    if item.is_page:
        yield item
    for child in item.children or ():
        yield from _pages(child)


def _entry(page: Any) -> str:
    return f"- [{page.title}]({page.url}): {first_sentence(page.markdown)}"


def first_sentence(markdown: str) -> str:
    """The first sentence of a page's first paragraph; empty if it has none."""
    for block in re.split(r"\n\s*\n", markdown):
        if block.strip() and not _NO_TEXT.match(block.strip()):
            text = " ".join(_LINK.sub(r"\1", block).split())
            return re.split(r"(?<=[.!?:]) (?=[A-Z`])", text)[0]
    return ""
