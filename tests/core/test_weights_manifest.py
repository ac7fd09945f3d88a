"""The manifest's schema: what is shipped is complete, what is broken is named."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sketchprep.core import weights_manifest
from sketchprep.core.resources import resource
from sketchprep.errors import UserError


def toy() -> dict[str, Any]:
    def entry() -> dict[str, Any]:
        return {
            "title": "toy", "archive": "toys", "member": "toys/one.dat", "member_bytes": 9, "member_sha256": "0" * 64,
            "suffix": ".dat", "bytes": 9, "sha256": "0" * 64, "licence": "CC0-1.0", "used_by": ["tests"],
        }  # fmt: skip

    archive = {"distribution": "toys", "version": "1.0", "file": "toys.tar.gz", "bytes": 99, "sha256": "1" * 64}
    return {"version": 1, "archives": {"toys": archive}, "weights": {"one": entry(), "two": entry()}, "datasets": {}}


def test_the_shipped_manifest_is_valid_and_complete() -> None:
    shipped = weights_manifest.manifest()
    faces = {"face", "face-bank"}
    assert set(shipped.weights) - faces == {
        "simplifier", "hed", "face-generator", "mediapipe-face-detector", "mediapipe-face-mesh", "mediapipe-person",
         "dlib-landmarks-68", "dlib-face-descriptor",
    }  # fmt: skip
    assert set(shipped.weights) & faces in (set(), faces)
    assert "300-W" in shipped.weights["dlib-landmarks-68"].restriction
    assert not shipped.datasets["celebamask-hq"].shipped
    portraits = {file.name: file.read_bytes() for file in resource("data/portraits").glob("*.jpg")}
    assert shipped.datasets["portraits"].files == {
        name: hashlib.sha256(data).hexdigest() for name, data in portraits.items()
    }
    assert shipped.datasets["portraits"].bytes == sum(map(len, portraits.values()))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["weights"]["one"].update(sha256="abc"), "weights.one.sha256"),
        (lambda c: c["weights"]["one"].update(archive="nowhere"), "weights.one.archive"),
        (lambda c: c["weights"]["one"].update(colour="red"), "weights.one.colour"),
        (lambda c: c["weights"]["one"].pop("licence"), "weights.one.licence"),
        (lambda c: c["archives"]["toys"].update(file="../toys.tar.gz"), "archives.toys.file"),
        (lambda c: c["weights"].update({"../evil": c["weights"].pop("two")}), "evil"),
        (lambda c: c["weights"]["one"].update(bytes=5), "weights.one"),
        (lambda c: c.update(version=2), "version"),
    ],
)
def test_a_broken_manifest_names_the_key(tmp_path: Path, change, named: str) -> None:  # type: ignore[no-untyped-def]
    content = toy()
    change(content)
    file = tmp_path / "manifest.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as caught:
        weights_manifest.load(file)
    assert named in str(caught.value)


def test_the_toy_is_valid_and_text_is_not(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(yaml.safe_dump(toy()))
    assert list(weights_manifest.load(file).weights) == ["one", "two"]
    file.write_text("weights: [unclosed")
    with pytest.raises(UserError, match="is not valid YAML"):
        weights_manifest.load(file)
