"""Finding sources and their roots by name."""

import os
import pickle
import subprocess
import sys

import pytest

from sketchprep.datasets.sources import names, open_source, resolve_root, source_class
from sketchprep.errors import UserError


def test_every_source_says_what_it_is_and_where_it_comes_from():
    assert names() == ["celebamask-hq", "dataset", "folder", "pairs", "portraits"]
    for name in names():
        cls = source_class(name)
        assert cls.name == name
        assert cls.about
        assert cls.licence
        assert cls.obtain


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(
        UserError, match=r"did you mean portraits\? known: celebamask-hq, dataset, folder, pairs, portraits"
    ):
        open_source("portrait")


def test_an_unknown_option_lists_the_known(plant):
    with pytest.raises(UserError, match="no option 'photoes'; its options are layout, photos, sketches, photo"):
        open_source("pairs", plant({"a.jpg": 1}), photoes="A")


def test_root_is_the_option_then_the_environment(plant, monkeypatch, tmp_path):
    given, fallback = plant({"a.jpg": 1}, "given"), plant({"b.jpg": 1}, "data/folder")
    monkeypatch.setenv("SKETCHPREP_DATA", str(tmp_path / "data"))
    assert resolve_root("folder", str(given)) == given
    assert resolve_root("folder") == fallback
    os.rename(fallback, tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"neither .*/data/folder nor .*/data/folder.zip exists; give a folder"):
        resolve_root("folder")


def test_a_zip_in_the_environments_folder_is_found(plant, zipped, monkeypatch, tmp_path):
    archive = zipped(plant({"b.jpg": 1}, "folder"))
    os.rename(tmp_path / "folder", tmp_path / "unpacked")
    monkeypatch.setenv("SKETCHPREP_DATA", str(tmp_path))
    assert resolve_root("folder") == archive
    assert [sample.id for sample in open_source("folder").samples()] == ["b.jpg"]


def test_without_a_root_one_sentence_says_where_the_corpus_comes_from(monkeypatch, tmp_path):
    monkeypatch.delenv("SKETCHPREP_DATA", raising=False)
    with pytest.raises(UserError, match=r"needs `root` .*github\.com/switchablenorms/CelebAMask-HQ"):
        resolve_root("celebamask-hq")
    with pytest.raises(UserError, match=r"nowhere' does not exist; get CelebAMask-HQ.zip"):
        resolve_root("celebamask-hq", tmp_path / "nowhere")


def test_opened_sources_pickle_without_their_listing(plant):
    source = open_source("folder", plant({f"{n}.jpg": b"x" for n in range(300)}))
    samples = source.samples()
    packed = pickle.dumps(source)
    assert len(packed) < 1000
    assert pickle.loads(packed).samples() == samples


def test_callers_cannot_change_the_listing(plant):
    source = open_source("folder", plant({"a.jpg": 1}))
    source.samples().clear()
    assert len(source.samples()) == 1


def test_names_and_selection_load_nothing_heavy():
    code = (
        "import sys, sketchprep.datasets.sources as s, sketchprep.sketching.selection;"
        "[s.source_class(n) for n in s.names()];"
        "print([m for m in ('numpy', 'cv2', 'torch', 'PIL', 'pyarrow') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
