"""The documentation as the tests see it: pages, their code blocks, headings and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


ELLIPSIS = "…"


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


def shell_lines(page: Path) -> Iterator[list[str]]:
    """Words of each command line in a page's shell blocks, variables put in."""
    for block in blocks(page, "bash"):
        values: dict[str, str] = {}
        for line in block.text.replace("\\\n", " ").splitlines():
            found = re.fullmatch(r'(\w+)="(.*)"\s*(?:#.*)?', line)
            expanded = re.sub(r"\$(\w+)", lambda use: values.get(use[1], use[0]), found[2] if found else line)  # noqa: B023
            if found:
                values[found[1]] = expanded
            else:
                yield shlex.split(expanded, comments=True)


def commands(page: Path) -> Iterator[tuple[list[str], bool]]:
    """Arguments after `sketchprep`, and whether they are all that the command needs."""
    for words in shell_lines(page):
        if "sketchprep" in words[:6] and words[0] != "pip":
            arguments = words[words.index("sketchprep") + 1 :]
            yield [word for word in arguments if word != ELLIPSIS], ELLIPSIS not in arguments
    for text in re.findall(r"`sketchprep ([a-z][^`]*)`", prose(page)):
        yield [word for word in shlex.split(text) if ELLIPSIS not in word], False


def name(page: Path) -> str:
    """Of a page in the names of tests."""
    return page.relative_to(ROOT).as_posix()


def _fences(page: Path) -> Iterator[tuple[str, str, str]]:
    yield from _FENCE.findall(read(page))
