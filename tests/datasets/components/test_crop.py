"""Component crops of datasets and of plain folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from sketchprep.datasets.components.crop import crop_components
from sketchprep.datasets.components.layouts import LAYOUTS, Subject
from sketchprep.datasets.reader import open_pairs
from sketchprep.errors import UserError
from sketchprep.io import images as imageio
from sketchprep.ops import face_parts, helen_labels
from sketchprep.ops.resize import resize

Make = Callable[..., Path]


def load(out: Path, name: str) -> np.ndarray:
    return np.load(out / f"{name}.npy", mmap_mode="r")


def rows(out: Path, name: str = "windows") -> list[dict]:
    return pq.read_table(out / f"{name}.parquet").to_pylist()


@pytest.mark.parametrize("size", [128, 256, 512])
def test_deepfacedrawing_parts_are_the_windows_of_every_pair(drawn: Make, tmp_path: Path, size: int) -> None:
    data = drawn(size=size, train=2, test=1)
    report = crop_components(data, tmp_path / "out")
    assert (report.written, report.failed) == (3, 0)
    for number, pair in enumerate(open_pairs(data)):
        for part, window in face_parts.windows(size).items():
            if part == "remainder":
                continue
            sketch, photo = (load(tmp_path / "out", f"{part}.{kind}") for kind in ("sketch", "photo"))
            assert sketch.dtype == photo.dtype == np.uint8
            assert sketch.shape == (3, window.height, window.width)
            assert photo.shape == (3, window.height, window.width, 3)
            np.testing.assert_array_equal(sketch[number], pair.sketch[window.slices])
            np.testing.assert_array_equal(photo[number], pair.photo[window.slices])


def test_the_remainder_is_white_exactly_in_the_four_windows(drawn: Make, tmp_path: Path) -> None:
    data = drawn(train=1, test=1)
    crop_components(data, tmp_path / "out")
    kept = np.ones((128, 128), bool)
    for part, window in face_parts.windows(128).items():
        if part != "remainder":
            kept[window.slices] = False
    for kind in ("sketch", "photo"):
        for number, pair in enumerate(open_pairs(data)):
            rest = load(tmp_path / "out", f"remainder.{kind}")[number]
            assert (rest[~kept] == 255).all()
            np.testing.assert_array_equal(rest[kept], pair[kind][kept])


def test_the_parts_put_together_give_the_sketch_back(drawn: Make, tmp_path: Path) -> None:
    data = drawn(train=1, test=0)
    crop_components(data, tmp_path / "out")
    face = load(tmp_path / "out", "remainder.sketch")[0]
    for part in ("mouth", "nose", "left_eye", "right_eye"):
        face = face_parts.paste(face, load(tmp_path / "out", f"{part}.sketch")[0], face_parts.windows(128)[part])
    np.testing.assert_array_equal(face, open_pairs(data)[0].sketch)


def test_the_table_of_windows_names_every_row(drawn: Make, tmp_path: Path, draw: type) -> None:
    crop_components(drawn(), tmp_path / "out", split="test")
    table = rows(tmp_path / "out")
    assert len(table) == 3 * 5
    assert [r["id"] for r in table if r["part"] == "nose"] == list(draw.ids[5:8])
    assert {(r["row"], r["ordinal"], r["split"]) for r in table} == {(0, 5, "test"), (1, 6, "test"), (2, 7, "test")}
    nose = next(r for r in table if r["part"] == "nose")
    assert (nose["x"], nose["y"], nose["width"], nose["height"]) == face_parts.windows(128)["nose"]


def test_a_smaller_size_resizes_pictures_and_landmarks(drawn: Make, tmp_path: Path) -> None:
    data = drawn(size=256, train=2, test=0)
    crop_components(data, tmp_path / "out", size=128, centre="landmarks")
    # The landmarks are the usual ones, so that the windows are the fixed ones of the new size.
    assert {tuple(r[k] for k in ("part", "x", "y", "width", "height")) for r in rows(tmp_path / "out")} == {
        (part, *window) for part, window in face_parts.windows(128).items()
    }
    expected = resize(open_pairs(data)[1].sketch, (128, 128))[face_parts.windows(128)["mouth"].slices]
    np.testing.assert_array_equal(load(tmp_path / "out", "mouth.sketch")[1], expected)


def test_pictures_that_cannot_be_used_leave_no_rows(drawn: Make, tmp_path: Path) -> None:
    data = drawn(damaged=(1, 4), no_landmarks=(2,))
    report = crop_components(data, tmp_path / "out", centre="landmarks")
    assert (report.written, report.failed) == (5, 3)
    failed = {r["id"]: r["kind"] for r in rows(tmp_path / "out", "failures")}
    ids = open_pairs(data).table["id"].to_pylist()
    assert failed == {ids[1]: "truncated", ids[2]: "no-landmarks", ids[4]: "truncated"}
    table = [r for r in rows(tmp_path / "out") if r["part"] == "mouth"]
    assert [(r["row"], r["ordinal"]) for r in table] == [(0, 0), (1, 3), (2, 5), (3, 6), (4, 7)]
    mouths = load(tmp_path / "out", "mouth.sketch")
    assert len(mouths) == 5
    for r in table:
        window = face_parts.Window(r["x"], r["y"], r["width"], r["height"])
        np.testing.assert_array_equal(mouths[r["row"]], open_pairs(data)[r["ordinal"]].sketch[window.slices])


def test_apdrawing_cuts_around_landmarks_and_masks_where_labels_are_known(drawn: Make, tmp_path: Path) -> None:
    data = drawn(size=512, template="apdrawing", labelled=(1,), train=2, test=0)
    report = crop_components(data, tmp_path / "out", layout="apdrawing")
    assert not report.notes
    assert load(tmp_path / "out", "left_eye.sketch").shape == (2, 80, 112)
    assert load(tmp_path / "out", "nose.photo").shape == (2, 96, 96, 3)
    assert load(tmp_path / "out", "mouth.sketch").shape == (2, 80, 128)
    pair = open_pairs(data)[1]
    person = pair["labels"] > 0
    hair, background = (load(tmp_path / "out", f"{part}.photo") for part in ("hair", "background"))
    assert len(hair) == len(background) == 1
    np.testing.assert_array_equal(background[0], pair.photo * ~person[..., None])
    table = rows(tmp_path / "out")
    kept = face_parts.outside((512, 512), [_window(r) for r in table if r["ordinal"] == 1 and r["width"] < 512])
    np.testing.assert_array_equal(hair[0], pair.photo * (person & kept)[..., None])
    assert [(r["row"], r["ordinal"]) for r in table if r["part"] == "hair"] == [(0, 1)]


def _window(row: dict) -> face_parts.Window:
    return face_parts.Window(row["x"], row["y"], row["width"], row["height"])


def test_a_layout_in_another_frame_is_said_to_be_so(drawn: Make, tmp_path: Path) -> None:
    report = crop_components(drawn(train=1, test=0), tmp_path / "out", layout="apdrawing", centre="fixed")
    assert "'apdrawing'" in report.notes[0]
    assert "'ffhq'" in report.notes[0]


def test_mask_guided_needs_and_uses_labels(drawn: Make, tmp_path: Path) -> None:
    data = drawn(size=256, labelled=(0, 2, 3), train=4, test=0)
    report = crop_components(data, tmp_path / "out", layout="mask-guided")
    assert (report.written, report.failed) == (3, 1)
    assert rows(tmp_path / "out", "failures")[0]["kind"] == "no-labels"
    assert load(tmp_path / "out", "left_eye.photo").shape == (3, 32, 48, 3)
    assert load(tmp_path / "out", "mouth.sketch").shape == (3, 80, 144)
    labels = load(tmp_path / "out", "frame.labels")
    assert labels.shape == (3, 256, 256)
    eye = next(_window(r) for r in rows(tmp_path / "out") if r["part"] == "left_eye")
    inside = labels[0][eye.slices] == helen_labels.HELEN.index("left_eye")
    assert inside.sum() == (labels[0] == helen_labels.HELEN.index("left_eye")).sum() > 0
    skin, pair = load(tmp_path / "out", "skin.photo")[1], open_pairs(data)[2]
    mask = np.isin(labels[1], (1, 2, 3, 6))
    np.testing.assert_array_equal(skin[mask], pair.photo[mask])
    assert (skin[~mask] == 0).all()
    assert (load(tmp_path / "out", "hair.sketch")[1][labels[1] != 10] == 255).all()


def test_mask_guided_without_any_labels_is_one_sentence(drawn: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"label maps.*labels=true"):
        crop_components(drawn(), tmp_path / "out", layout="mask-guided")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_pictures_given_are_never_changed(layout: str, draw: type) -> None:
    images = {"sketch": draw.sketch(1), "photo": draw.photo(1)}
    subject = Subject(images, draw.landmarks(), draw.labels())
    copies = {kind: image.copy() for kind, image in images.items()}, draw.landmarks(), draw.labels()
    for centre in LAYOUTS[layout].centres:
        pieces = LAYOUTS[layout].cut(subject, LAYOUTS[layout].windows(subject, centre))
        for piece in pieces.values():
            piece[:] = 99
    for kind, image in images.items():
        np.testing.assert_array_equal(image, copies[0][kind])
    np.testing.assert_array_equal(subject.landmarks, copies[1])
    np.testing.assert_array_equal(subject.labels, copies[2])


@pytest.fixture
def folder(tmp_path: Path, draw: type) -> Path:
    """Five usable photos with awkward names, and what cannot be used."""
    root = tmp_path / "photos"
    (root / "deep er").mkdir(parents=True)
    for number, name in enumerate(("a b.jpg", "new\nline.jpg", "..jpg", "deep er/a b.jpg", "é.png")):
        photo = draw.photo(number, 256)
        (root / name).write_bytes(imageio.encode_png(photo) if name[-3:] == "png" else imageio.encode_jpeg(photo))
    (root / "wide.png").write_bytes(imageio.encode_png(draw.photo(1, 256)[:100]))
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("no picture")
    (root / "notes.txt").write_text("ignored")
    os.symlink("/etc/hostname", root / "link.jpg")
    return root


def test_any_folder_can_be_cut(folder: Path, tmp_path: Path) -> None:
    report = crop_components(folder, tmp_path / "out", align="none", size=128, images=True)
    out = tmp_path / "out"
    usable = {"a b.jpg", "new\nline.jpg", "deep er/a b.jpg", "é.png"}  # "..jpg" is hidden
    assert {r["id"] for r in rows(out)} == usable
    assert {r["id"]: r["kind"] for r in rows(out, "failures")} == {
        "wide.png": "not-square",
        "empty.jpg": "empty",
        "text.jpg": "not-a-picture",
        "link.jpg": "leaves-root",
    }
    assert (report.written, report.failed) == (4, 4)
    assert load(out, "nose.photo").shape == (4, 40, 40, 3)
    assert not list(out.glob("*.sketch.npy"))
    keys = {f"{r['ordinal']:09d}.photo.png" for r in rows(out)}
    for part in face_parts.PARTS:
        assert {p.name for p in (out / "images" / part).iterdir()} == keys
    row = next(r for r in rows(out) if r["id"] == "é.png" and r["part"] == "nose")
    stored = imageio.decode((out / "images" / "nose" / f"{row['ordinal']:09d}.photo.png").read_bytes())
    np.testing.assert_array_equal(stored, load(out, "nose.photo")[row["row"]])


def test_photos_of_a_folder_are_aligned_before_they_are_cut(built: Path, tmp_path: Path) -> None:
    """The windows of unaligned portraits show what those of the dataset built from them show."""
    photos, out = built.parent / "photos", tmp_path / "out"
    report = crop_components(photos, out, size=128)
    assert report.failed == 0
    pairs = open_pairs(built)
    mouths = load(out, "mouth.photo").astype(float)
    window = face_parts.windows(128)["mouth"]
    for row in (row for row in rows(out) if row["part"] == "mouth"):
        expected = face_parts.crop(pairs.find(row["id"]).photo, window)
        assert np.abs(mouths[row["row"]] - expected).mean() < 6
    # What lies in the frame already stays as it is; a photo without a face is a row.
    aligned = tmp_path / "aligned"
    aligned.mkdir()
    (aligned / "0.png").write_bytes(imageio.encode_png(pairs[0].photo))
    (aligned / "grey.png").write_bytes(imageio.encode_png(np.full((200, 300, 3), (90, 120, 150), np.uint8)))
    crop_components(aligned, tmp_path / "kept", size=128)
    np.testing.assert_array_equal(load(tmp_path / "kept", "mouth.photo")[0], face_parts.crop(pairs[0].photo, window))
    (failure,) = rows(tmp_path / "kept", "failures")
    assert (failure["id"], failure["kind"]) == ("grey.png", "no-face")
    assert "--align none" in failure["message"]


def test_a_folder_of_sketches_is_seen_to_be_one(tmp_path: Path, draw: type) -> None:
    (tmp_path / "sketches").mkdir()
    for number in range(2):
        three = cv2.cvtColor(draw.sketch(number, 256), cv2.COLOR_GRAY2RGB)
        (tmp_path / "sketches" / f"{number}.jpg").write_bytes(imageio.encode_jpeg(three))
    crop_components(tmp_path / "sketches", tmp_path / "out")
    assert load(tmp_path / "out", "mouth.sketch").shape == (2, 192, 192)
    crop_components(tmp_path / "sketches", tmp_path / "as-photos", kinds=["photo"], align="none")
    assert load(tmp_path / "as-photos", "mouth.photo").shape == (2, 192, 192, 3)


def test_the_contact_sheet_shows_the_windows(drawn: Make, tmp_path: Path) -> None:
    crop_components(drawn(train=2, test=0), tmp_path / "out", kinds=["sketch"])
    sheet = imageio.decode((tmp_path / "out" / "preview.jpg").read_bytes())
    spread = sheet.max(2).astype(int) - sheet.min(2)
    assert sheet.shape[1] > 6 * 128
    assert (spread > 80).sum() > 200  # coloured frames on a sketch without colours


def test_the_same_command_again_changes_nothing_and_another_is_refused(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(train=2, test=1), tmp_path / "out"
    crop_components(data, out)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.iterdir() if p.is_file()}
    again = crop_components(data, out)
    assert (again.written, again.skipped) == (0, 3)
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.iterdir() if p.is_file()}
    with pytest.raises(UserError, match=r'layout: "deepfacedrawing" → "apdrawing"'):
        crop_components(data, out, layout="apdrawing")
    with pytest.raises(UserError, match=r"data\.index_sha256"):
        crop_components(drawn("other", train=3, test=1), out)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    with pytest.raises(UserError, match="something else"):
        crop_components(data, tmp_path / "foreign")


def test_what_a_killed_run_left_is_made_anew(drawn: Make, tmp_path: Path) -> None:
    data, out = drawn(), tmp_path / "out"
    crop_components(data, out)
    whole = {p.name: p.read_bytes() for p in out.glob("*.npy")}
    code = (
        "import os, sys\nfrom sketchprep.datasets.components import crop\n"
        "class Bar:\n    n = 0\n    def update(self, k):\n        self.n += k\n"
        "        if self.n == 4: os.kill(os.getpid(), 9)\n    def close(self): pass\n"
        "crop.crop_components(sys.argv[1], sys.argv[2], progress=lambda n, text: Bar())\n"
    )
    killed = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", code, str(data), str(killed)], check=False, timeout=60)
    assert done.returncode == -9
    assert not list(killed.glob("*.npy"))
    assert json.loads((killed / "meta.json").read_text())["finished"] is False
    assert crop_components(data, killed).written == 8
    assert {p.name: p.read_bytes() for p in killed.glob("*.npy")} == whole
    assert not (killed / ".unfinished").exists()


def test_a_folder_without_any_usable_picture_ends_well(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    assert crop_components(tmp_path / "photos", tmp_path / "out").failed == 1


def test_what_is_no_folder_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    for name, words in (("photo.jpg", "is a single file"), ("nowhere", "does not exist")):
        with pytest.raises(UserError, match=words):
            crop_components(tmp_path / name, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="neither a dataset nor pictures"):
        crop_components(tmp_path / "empty", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "cubist"}, r"layout='cubist'.*deepfacedrawing"),
        ({"centre": "mask"}, r"centre='mask'.*fixed or landmarks"),
        ({"size": 100}, r"size=100.*64"),
        ({"size": 512}, r"size=512.*128 px"),
        ({"split": "dev"}, r"no split 'dev'"),
        ({"kinds": ["drawing"]}, r"kinds='drawing'"),
        ({"align": "face"}, r"align='face'.*is a dataset"),
        ({"align": "eyes"}, r"align='eyes'.*face, none"),
    ],
)
def test_mistakes_are_named(drawn: Make, tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        crop_components(drawn(), tmp_path / "out", **options)


def test_memory_does_not_grow_with_the_number_of_pictures(drawn: Make, tmp_path: Path) -> None:
    """The arrays of the larger run are 60 MB more; the peak must not follow."""
    code = (
        "import sys\nfrom sketchprep.datasets.components.crop import crop_components\n"
        "crop_components(sys.argv[1], sys.argv[2])\n"
        # getrusage would count what the suite held when it started this process
        "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    peaks = []
    for count in (12, 72):
        data = drawn(f"data-{count}", size=512, train=count, test=0)
        command = [sys.executable, "-c", code, str(data), str(tmp_path / f"out-{count}")]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout))
    assert peaks[1] - peaks[0] < 25
