"""Every link inside the documentation leads somewhere: to a file that is there, and to a heading in it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from doc_pages import DOCS, PAGES, ROOT, name, prose

_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(page: Path) -> list[str]:
    """Targets inside the project."""
    return [target for target in _LINK.findall(prose(page)) if not urlsplit(target).scheme]


def anchors(page: Path) -> set[str]:
    """What a link to a page may end with: its headings as python-markdown and GitHub write them."""
    plain = (re.sub(r"[`*]|\]\([^)]*\)|[\[!]", "", heading) for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower()) for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    for target in links(page):
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: there is no such file"
        assert file.is_relative_to(ROOT), f"{target}: leads out of the project"
        if page.is_relative_to(DOCS):
            assert file.is_relative_to(DOCS), f"{target}: leads out of the site"
        if anchor:
            assert anchor in anchors(file), f"{target}: there is no such heading"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert f": {page.relative_to(DOCS).as_posix()}\n" in navigation, page


def test_the_readme_is_short_and_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_bytes()
    assert len(readme) <= 9 * 1024
    assert b"make demo" in readme
    assert b"make test" in readme
