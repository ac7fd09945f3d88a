"""The documentation as the tests see it: pages, their code blocks, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, its title or "", and its text."""

    language: str
    title: str
    text: str


def read(page: Path) -> str:
    """Text of a page, with what it includes."""
    return _SNIPPET.sub(lambda found: (ROOT / found[1]).read_text(encoding="utf-8"), page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[Block]:
    """Fenced blocks of a language."""
    found = (Block(kind, "".join(re.findall(r'title="(.+?)"', rest)), text) for kind, rest, text in _fences(page))
    return [block for block in found if block.language == language]


def prose(page: Path) -> str:
    """Text of a page without its fenced blocks."""
    return _FENCE.sub("", read(page))


def name(page: Path) -> str:
    """Of a page in the names of tests."""
    return page.relative_to(ROOT).as_posix()


def _fences(page: Path) -> Iterator[tuple[str, str, str]]:
    yield from _FENCE.findall(read(page))
