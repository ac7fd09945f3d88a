"""The registry of sources, the corpora that a recipe can name; one is imported when it is opened."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.io.files import expanded
from sketchprep.io.object_store import Url, is_url, location

if TYPE_CHECKING:
    from sketchprep.datasets.sources.base import Source
    from sketchprep.datasets.sources.tree import Tree

__all__ = ["names", "open_source", "open_tree", "resolve_root", "source_class"]

_CLASSES = {
    "celebamask-hq": ("celebamask_hq", "CelebAMaskHQ"),
    "dataset": ("dataset", "DatasetSource"),
    "folder": ("folder", "PhotoFolder"),
    "pairs": ("pairs", "PairSource"),
    "portraits": ("portraits", "Portraits"),
}


def names() -> list[str]:
    """Return the names of all sources, sorted."""
    return sorted(_CLASSES)


def source_class(name: str) -> type[Source]:
    """Return a source's class, for its ``about``, ``licence``, ``homepage`` and ``obtain``.

    Raises
    ------
    UserError
        If there is no source of that name.
    """
    if name not in _CLASSES:
        close = difflib.get_close_matches(name, _CLASSES, n=1)
        hint = f"did you mean {close[0]}? known: " if close else "known: "
        raise UserError(f"--source {name}: there is no such source; {hint}{', '.join(names())}")
    module, attribute = _CLASSES[name]
    return getattr(importlib.import_module(f"sketchprep.datasets.sources.{module}"), attribute)


def resolve_root(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Find a source's folder or zip: what is given, else ``$SKETCHPREP_DATA/NAME`` or ``NAME.zip`` there.

    A source that travels with the package (portraits) needs neither.

    Raises
    ------
    UserError
        If there is none: one sentence that says where the corpus comes from.
    """
    cls = source_class(name)
    if is_url(root):
        return location(str(root))
    if root is not None:
        path = expanded(root)
        if not os.path.exists(path):
            raise UserError(f"--root {root} does not exist; {cls.obtain}")
        return path
    bundled = cls.bundled()
    if bundled is not None:
        return bundled
    data = os.environ.get("SKETCHPREP_DATA")
    if not data:
        raise UserError(f"--source {name} needs --root DIR (or $SKETCHPREP_DATA/{name}); {cls.obtain}")
    if is_url(data):
        return location(data) / name
    folder = expanded(data) / name
    for path in (folder, folder.with_name(f"{name}.zip")):
        if os.path.exists(path):
            return path
    raise UserError(f"--source {name}: neither {folder} nor {folder}.zip exists; {cls.obtain}")


def open_tree(root: Path, *, follow_links: bool = False) -> Tree:
    """Open a corpus' folder or zip, or what lies below a URL.

    Parameters
    ----------
    root : Path
    follow_links : bool
        In a folder, follow links that leave it.

    Raises
    ------
    UserError
        If `root` does not exist or is neither.
    """
    if is_url(root):
        from sketchprep.datasets.sources.object_store_tree import ObjectStoreTree

        return ObjectStoreTree(Url(str(root)))
    if os.path.isdir(root):
        from sketchprep.datasets.sources.folder_tree import FolderTree

        return FolderTree(root, follow_links=follow_links)
    if not os.path.exists(root):
        raise UserError(
            f"--root {root} does not exist, or you may not enter it: give the folder or the zip that holds the corpus"
        )
    from sketchprep.datasets.sources.zip_tree import ZipTree

    return ZipTree(root)


def open_source(name: str, root: str | os.PathLike[str] | None = None, **options: Any) -> Source:
    """Open a source by name.

    Parameters
    ----------
    name : str
        One of `names`.
    root : path, optional
        Its folder or zip; see `resolve_root`.
    **options
        The source's own options, as in a recipe.

    Raises
    ------
    UserError
        For an unknown name or option, or a root that is missing or holds another corpus.
    """
    cls = source_class(name)
    known = list(inspect.signature(cls).parameters)[1:]
    for option in options:
        if option not in known:
            has = f"its options are {', '.join(known)}" if known else "it has no options"
            raise UserError(f"source {name}: there is no option {option!r}; {has}")
    return cls(resolve_root(name, root), **options)
