"""`import sketchprep` is cheap, and every public name is there, lazily, typed and documented."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sketchprep

HEAVY = ("numpy", "cv2", "torch", "pyarrow", "pydantic", "yaml", "PIL", "dlib", "skimage", "click", "duckdb")


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running some code."""
    shown = "import sys; print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    text = subprocess.check_output([sys.executable, "-c", f"{code}\n{shown}"], text=True)
    return set(text.partition("MODULES ")[2].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_after("import sketchprep")
    assert "sketchprep" in loaded
    assert not loaded & set(HEAVY)


def test_the_help_of_the_command_line_loads_nothing_heavy() -> None:
    code = "import click\nfrom sketchprep.cli.main import main\nmain(['--help'], standalone_mode=False)"
    assert not loaded_after(code) & {*HEAVY} - {"click"}


def test_every_public_name_resolves_and_is_documented() -> None:
    assert set(sketchprep.__all__) <= set(dir(sketchprep))
    for name in sketchprep.__all__:
        found = getattr(sketchprep, name)
        assert name == "__version__" or inspect.getdoc(found)


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    """What is imported for them alone comes from where it is loaded from."""
    package = Path(sketchprep.__file__).parent
    assert (package / "py.typed").exists()
    tree = ast.parse((package / "__init__.py").read_text())
    typed = {
        name.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert typed == sketchprep._HOMES
    assert set(sketchprep.__all__) == {*typed, "__version__"}


@pytest.mark.parametrize("name", sorted({*sketchprep.__all__} - {"__version__"}))
def test_no_module_may_take_a_public_names_place(name: str) -> None:
    package = Path(sketchprep.__file__).parent
    assert not (package / f"{name}.py").exists()
    assert not (package / name).exists()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'bild'"):
        _ = sketchprep.bild


def test_align_brings_a_photo_into_the_frame(frontal: list[Path]) -> None:
    from sketchprep.io import images

    photo = images.decode(frontal[0].read_bytes())
    aligned = sketchprep.align(photo, size=256)
    assert aligned.image.shape == (256, 256, 3)
    again = sketchprep.align(aligned.image, size=256)
    assert np.abs(again.matrix - np.eye(2, 3)).max() < 20, "in the frame already"
    assert sketchprep.align(photo, template="none", size=64).image.shape == (64, 64, 3)
    with pytest.raises(sketchprep.SampleError, match="no face"):
        sketchprep.align(np.full((64, 64, 3), 255, np.uint8))
    with pytest.raises(sketchprep.UserError, match="unknown; known: ffhq, apdrawing, none"):
        sketchprep.align(photo, template="fhq")  # type: ignore[arg-type]


def test_a_model_without_that_function_is_named() -> None:
    for call in (
        lambda: sketchprep.train("d", "r", model="pix2pixx"),
        lambda: sketchprep.evaluate("d", model="pix2pix"),
    ):
        with pytest.raises(sketchprep.UserError, match=r"has no function .*: deepfacedrawing, pix2pix"):
            call()


def test_the_bundled_model_draws_in_one_call(tmp_path: Path) -> None:
    drawing = next(iter(sorted((Path(sketchprep.__file__).parent / "data" / "sketches").glob("*.png"))))
    result = sketchprep.synthesize([drawing], tmp_path, device="cpu", offline=True)
    assert [path.name for path in result.faces] == [drawing.name]
    with pytest.raises(sketchprep.UserError, match=r"^batch=0: must be at least 1"):
        sketchprep.synthesize([drawing], tmp_path, device="cpu", batch=0)
    with pytest.raises(sketchprep.UserError, match="is not there; train one"):
        sketchprep.synthesize([drawing], tmp_path, run=tmp_path / "none")


def test_training_and_evaluation_reach_the_familys_own_functions(built: Path, tmp_path: Path) -> None:
    with pytest.raises(sketchprep.UserError, match=r"^preset='huge': unknown; known: "):
        sketchprep.train(built, tmp_path / "run", model="pix2pix", preset="huge")
    with pytest.raises(sketchprep.UserError, match="nowhere"):
        sketchprep.train(tmp_path / "nowhere", tmp_path / "run", preset="tiny")
    with pytest.raises(TypeError, match="takes no argument 'max_minute'; it takes max_minutes, seed"):
        sketchprep.train(built, tmp_path / "run", model="pix2pix", preset="tiny", max_minute=3)
    with pytest.raises(sketchprep.UserError, match=r"^run='.*none' is not there|^run='.*none': is not there"):
        sketchprep.evaluate(built, tmp_path / "none", device="cpu")
