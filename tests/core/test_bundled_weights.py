"""Weights that travel with the package."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import yaml

from sketchprep.core import doctor, resources, weights_manifest
from sketchprep.core import weights as assets
from sketchprep.errors import UserError

DATA = b"small weights " * 100


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one bundled weight, `toy`; returns the weight's file."""
    content = {
        "version": 1,
        "archives": {},
        "weights": {
            "toy": {
                "title": "toy",
                "file": "data/weights/toy.dat",
                "bytes": len(DATA),
                "licence": "Apache-2.0",
                "sha256": hashlib.sha256(DATA).hexdigest(),
                "used_by": ["stage simplify"],
            }
        },
        "datasets": {},
    }
    written = tmp_path / "manifest.yaml"
    written.write_text(yaml.safe_dump(content))
    found = weights_manifest.load(written)
    for module in (assets, doctor):
        monkeypatch.setattr(module, "manifest", lambda: found)
    monkeypatch.setattr(resources, "PACKAGE", tmp_path / "package")
    monkeypatch.setenv("SKETCHPREP_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "package/data/weights/toy.dat"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    return path


def test_it_is_ready_without_cache_network_or_fetch(file: Path, tmp_path: Path) -> None:
    assert assets.path("toy", offline=True) == file
    assert assets.fetch(["toy"], offline=True, log=lambda line: None) == {"toy": file}
    state = assets.state("toy", verify=True)
    assert (state.state, state.bytes, state.download_bytes) == ("ready", len(DATA), 0)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [None, DATA[:-5]])
def test_a_missing_or_cut_file_is_one_sentence(file: Path, content: bytes | None) -> None:
    file.unlink() if content is None else file.write_bytes(content)
    assert assets.state("toy").state == ("missing" if content is None else "corrupt")
    for act in (lambda: assets.path("toy"), lambda: assets.fetch(["toy"])):
        with pytest.raises(UserError, match=r"'toy' in .*toy\.dat is missing or damaged: install sketchprep again"):
            act()


def test_a_changed_byte_shows_where_the_sum_is_checked(file: Path) -> None:
    file.write_bytes(b"X" + DATA[1:])
    assert assets.state("toy", verify=True).state == "corrupt"
    with pytest.raises(UserError, match="install sketchprep again"):
        assets.fetch(["toy"])


def test_doctor_lists_it(file: Path) -> None:
    weights = next(s for s in doctor.report() if s.title == "Weights")
    assert [(row.label, row.ok) for row in weights.rows] == [("toy", True)]
    assert "Apache-2.0" in weights.rows[0].value
    os.unlink(file)
    text = doctor.render(doctor.report())
    assert "for stage simplify: install sketchprep again" in text
    assert "to download" not in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"file": "../outside.dat"}, "weights.toy.file"),
        ({"file": "data/../../outside.dat"}, "weights.toy.file"),
        ({"file": "/etc/passwd"}, "weights.toy.file"),
        ({"sha256": "abc"}, "weights.toy.sha256"),
        ({"archive": "toys"}, "weights.toy.archive"),
    ],
)
def test_a_broken_entry_names_the_key(tmp_path: Path, change: dict, named: str) -> None:
    entry = {"title": "t", "file": "data/t.dat", "bytes": 1, "sha256": "0" * 64, "licence": "CC0-1.0", "used_by": []}
    written = tmp_path / "manifest.yaml"
    written.write_text(
        yaml.safe_dump({"version": 1, "archives": {}, "weights": {"toy": {**entry, **change}}, "datasets": {}})
    )
    with pytest.raises(UserError, match=named.replace(".", r"\.")):
        weights_manifest.load(written)
