"""The main job on real portraits: what is built, and that nothing but recipe and photos decides its bytes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from quick import QUICK

import sketchprep
from sketchprep.datasets import status, verify
from sketchprep.errors import UserError
from sketchprep.io.files import atomic

PROMISED = ("index.parquet", "plan.parquet", "recipe.yaml")


def promised(out: Path) -> dict[str, str]:
    """Sha256 of everything that must not depend on how a build ran."""
    paths = [*(out / name for name in PROMISED), *sorted((out / "shards").iterdir())]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def build(photos: Path, out: Path, **options) -> sketchprep.datasets.build.build.Result:
    return sketchprep.build(**{"recipe": QUICK, "root": photos, "out": out, "jobs": 1, "quiet": True, **options})


def test_a_built_dataset_holds_what_its_index_says(built: Path) -> None:
    pairs = sketchprep.open_pairs(built)
    assert len(pairs) == 6
    assert verify.verify(built) == []
    for pair in pairs:
        assert pair.photo.shape == (128, 128, 3)
        assert pair.sketch.shape == pair["photocopy"].shape == pair["canny"].shape == (128, 128)
        assert pair.sketch.dtype == np.uint8
        assert pair.sketch.mean() > 127, "black ink on white"
        left, right = pair.landmarks[36:42].mean(axis=0), pair.landmarks[42:48].mean(axis=0)
        np.testing.assert_allclose(left, (48, 60.5), atol=6)  # the frame's eyes, (192, 242) and (320, 242) at 512
        np.testing.assert_allclose(right, (80, 60.5), atol=6)


def test_landmarks_and_matrix_agree_with_the_stored_photo(built: Path, photos: Path) -> None:
    """The matrix maps the original onto the stored photo: warping it by hand gives nearly the same picture."""
    pair = sketchprep.open_pairs(built)[0]
    original = cv2.cvtColor(cv2.imread(str(photos / pair.id)), cv2.COLOR_BGR2RGB)
    assert original.shape[:2] == (pair.row["height"], pair.row["width"])
    matrix = np.array(pair.row["matrix"]).reshape(2, 3)
    by_hand = cv2.warpAffine(cv2.GaussianBlur(original, (0, 0), 1.5), matrix, (128, 128), flags=cv2.INTER_LINEAR)
    centre = slice(24, 104)
    difference = np.abs(by_hand[centre, centre].astype(int) - pair.photo[centre, centre])
    assert difference.mean() < 6


def test_the_split_and_the_failures_are_in_the_tables(built: Path) -> None:
    assert len(sketchprep.open_pairs(built, "test")) == 1
    assert len(sketchprep.open_pairs(built, "train")) == 5
    assert pq.read_table(built / "failures.parquet").num_rows == 0
    with pytest.raises(UserError, match="no split 'val', only test, train"):
        sketchprep.open_pairs(built, "val")


def test_pairs_travel_to_worker_processes(built: Path) -> None:
    pairs = sketchprep.open_pairs(built)
    first = pairs[0].photo
    again = pickle.loads(pickle.dumps(pairs))
    np.testing.assert_array_equal(again[0].photo, first)
    assert again[-1].id == pairs[5].id
    with pytest.raises(IndexError):
        pairs[6]


def test_card_and_preview_are_written(built: Path) -> None:
    text = (built / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert {f["split"] for f in header["configs"][0]["data_files"]} == {"train", "test"}
    assert "300-W" in text, "the licence of the landmark model's data"
    sheet = cv2.imread(str(built / "preview.jpg"))
    assert sheet.shape[0] > 6 * 256
    assert sheet.shape[1] > 4 * 256


@pytest.mark.parametrize("variant", ["two processes", "shuffled", "copied elsewhere"])
def test_bytes_do_not_depend_on_how_the_build_ran(variant: str, built: Path, photos: Path, tmp_path: Path) -> None:
    if variant == "shuffled":
        files = sorted(photos.iterdir())
        random.Random(1).shuffle(files)
        (tmp_path / "other").mkdir()
        for file in files:
            shutil.copy(file, tmp_path / "other")
        photos = tmp_path / "other"
    jobs = 2 if variant == "two processes" else 1
    build(photos, tmp_path / "data", jobs=jobs)
    assert promised(tmp_path / "data") == promised(built)


def killed_and_resumed(photos: Path, out: Path, kills: int, seed: int, most_seconds: float) -> None:
    """Build in another process, SIGKILL it at random moments, and go on until one run ends by itself."""
    code = (
        "import sys, json, sketchprep; r, root, out = sys.argv[1:];"
        "sketchprep.build(recipe=json.loads(r), root=root, out=out, jobs=2, quiet=True)"
    )
    command = [sys.executable, "-c", code, json.dumps(QUICK), str(photos), str(out)]
    rng = random.Random(seed)
    finished: dict[Path, tuple[int, int]] = {}
    for _ in range(kills):
        process = subprocess.Popen(command, start_new_session=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.3, most_seconds))
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)  # the driver alone: its workers must notice by themselves
        process.wait()
        time.sleep(0.3)
        now = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in (out / "shards").glob("*.parquet")}
        for path, stamp in finished.items():
            assert now[path] == stamp, "a finished shard was written twice"
        finished = now
    subprocess.run(command, check=True, timeout=300)
    for path, stamp in finished.items():
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == stamp, "a finished shard was written twice"


def test_killed_builds_go_on_and_end_in_the_same_bytes(built: Path, photos: Path, tmp_path: Path) -> None:
    killed_and_resumed(photos, tmp_path / "data", kills=3, seed=3, most_seconds=4.0)
    assert promised(tmp_path / "data") == promised(built)
    assert not list((tmp_path / "data" / "shards").glob(".*")), "no litter"


@pytest.mark.slow
def test_ten_kills_end_in_the_same_bytes(built: Path, photos: Path, tmp_path: Path) -> None:
    killed_and_resumed(photos, tmp_path / "data", kills=10, seed=10, most_seconds=4.0)
    assert promised(tmp_path / "data") == promised(built)


def test_a_finished_build_is_left_alone(built: Path, photos: Path) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file() and "log" not in p.parts}
    result = build(photos, built)
    assert result.made == 0
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


def test_another_recipe_in_the_same_folder_is_refused_by_key(built: Path, photos: Path) -> None:
    with pytest.raises(UserError, match=r"another recipe \(recipe.stages.canny.low: 100.0 → 50.0\)"):
        build(photos, built, overrides=["stages.canny.low=50"])


def test_a_folder_of_something_else_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="holds something else"):
        build(photos, tmp_path / "mine")


def test_two_builds_in_one_folder_are_refused(photos: Path, tmp_path: Path) -> None:
    import filelock

    out = tmp_path / "data"
    build(photos, out, limit=1)
    with filelock.FileLock(out / "log" / "lock"), pytest.raises(UserError, match="another build is at work"):
        build(photos, out, limit=1)


def test_a_build_that_has_just_begun_is_not_taken_for_something_else(photos: Path, tmp_path: Path) -> None:
    """It holds its lock, and its recipe has only its temporary name yet."""
    import filelock

    (tmp_path / "data" / "log").mkdir(parents=True)
    half = atomic(tmp_path / "data" / "recipe.yaml").temporary
    half.touch()
    lock = filelock.FileLock(tmp_path / "data" / "log" / "lock")
    with lock, pytest.raises(UserError, match="another build is at work"):
        build(photos, tmp_path / "data", limit=1)
    assert build(photos, tmp_path / "data", limit=1).made == 1, "whoever was killed there does not hold it"
    assert not half.exists()


def test_a_lock_does_not_make_a_folder_of_something_else_ours(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "log").mkdir(parents=True)
    (tmp_path / "data" / "log" / "lock").touch()
    (tmp_path / "data" / "recipe.yaml.orig").touch()
    with pytest.raises(UserError, match="holds something else"):
        build(photos, tmp_path / "data", limit=1)


def test_failed_photos_can_be_mended_and_retried(built: Path, photos: Path, tmp_path: Path) -> None:
    victim = sorted(photos.iterdir())[2]
    sound = victim.read_bytes()
    victim.write_bytes(sound[: len(sound) // 2])
    out = tmp_path / "data"
    result = build(photos, out)
    assert (result.failed, len(sketchprep.open_pairs(out))) == (1, 5)
    assert victim.name in status.failures_text(out)
    assert "truncated" in status.failures_text(out)
    victim.write_bytes(sound)
    with pytest.raises(UserError, match="`retry_failed`"):
        build(photos, out)
    rows = pq.read_table(out / "plan.parquet").to_pylist()
    shard = next(row["shard"] for row in rows if row["id"] == victim.name)
    untouched = {p: p.stat().st_mtime_ns for p in (out / "shards").iterdir() if p.stem != shard}
    result = build(photos, out, retry_failed=True)
    assert (result.failed, len(sketchprep.open_pairs(out))) == (0, 6)
    assert result.made == sum(row["shard"] == shard for row in rows), "only the shard with the failure"
    assert {p: p.stat().st_mtime_ns for p in untouched} == untouched
    assert promised(out) == promised(built)


def test_new_photos_are_appended_as_new_shards(photos: Path, tmp_path: Path, frontal: list[Path]) -> None:
    out = tmp_path / "data"
    build(photos, out)
    before = {p.name: p.stat().st_mtime_ns for p in (out / "shards").iterdir()}
    shutil.copy(frontal[6], photos / "a new one.jpg")
    with pytest.raises(UserError, match="`extend`"):
        build(photos, out)
    assert build(photos, out, extend=True).made == 1
    after = {p.name: p.stat().st_mtime_ns for p in (out / "shards").iterdir()}
    assert {name: after[name] for name in before} == before
    assert "a new one.jpg" in {pair.id for pair in sketchprep.open_pairs(out)}
    assert verify.verify(out) == []


def test_too_many_failures_stop_the_build(photos: Path, tmp_path: Path) -> None:
    for number in range(12):
        (photos / f"broken-{number:02d}.jpg").write_bytes(b"\xff\xd8 no picture %d" % number)
    from sketchprep.datasets.build.build import TooManyFailures

    try:
        over = build(photos, tmp_path / "data", max_failures="10%").too_many_failures
    except TooManyFailures:
        over = True
    assert over
    assert not build(photos, tmp_path / "other", max_failures="80%").too_many_failures
    assert len(sketchprep.open_pairs(tmp_path / "other")) == 6
    for wrong in ("many", "-1", "120%"):
        with pytest.raises(UserError, match=r"^max_failures="):
            build(photos, tmp_path / "third", max_failures=wrong)


def test_a_photo_that_changed_since_planning_is_a_failure_not_a_silent_swap(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    build(photos, out)
    victim = sorted(photos.iterdir())[0]
    data = bytearray(victim.read_bytes())
    data[-40] ^= 1  # the same size, other bytes
    victim.write_bytes(data)
    row = next(r for r in pq.read_table(out / "plan.parquet").to_pylist() if r["id"] == victim.name)
    (out / "shards" / f"{row['shard']}.parquet").unlink()
    assert build(photos, out).failed == 1
    assert "changed" in status.failures_text(out)


def test_verify_finds_a_flipped_bit_and_names_the_member(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    build(photos, out, limit=2)
    row = pq.read_table(out / "index.parquet").to_pylist()[0]
    member = row["members"][0]
    with (out / "shards" / f"{row['shard']}.tar").open("r+b") as file:
        file.seek(member["offset"] + member["size"] // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    faults = verify.verify(out)
    assert len(faults) == 2, "the tar and the member"
    assert f"000000000.{member['name']}" in faults[1]
    assert repr(row["id"]) in faults[1]


def test_an_unfinished_build_says_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    build(photos, out)
    (out / "index.parquet").unlink()
    with pytest.raises(UserError, match="run the same `sketchprep build` command again"):
        sketchprep.open_pairs(out)


def test_photos_that_fit_pass_through_byte_for_byte(tmp_path: Path, photos: Path) -> None:
    """A photo that is in its frame and of the right size is stored as it came."""
    build(photos, tmp_path / "first", overrides=["select.one_face=false"])
    (tmp_path / "again").mkdir()
    originals = {}
    for pair in sketchprep.open_pairs(tmp_path / "first"):
        originals[f"{pair.ordinal}.jpg"] = pair.files["photo.jpg"]
        (tmp_path / "again" / f"{pair.ordinal}.jpg").write_bytes(pair.files["photo.jpg"])
    build(tmp_path / "again", tmp_path / "second", overrides=["align.template=none"])
    second = sketchprep.open_pairs(tmp_path / "second")
    assert len(second) == 6
    assert {pair.id: pair.files["photo.jpg"] for pair in second} == originals


def test_blowing_a_face_up_must_be_asked_for(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "refused", overrides=["size=2048"])
    assert len(sketchprep.open_pairs(tmp_path / "refused")) == 0
    assert "upscale=true" in status.failures_text(tmp_path / "refused")


@pytest.mark.slow
def test_a_full_disk_stops_with_one_sentence_and_goes_on_later(photos: Path, built: Path, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(mount)], check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        with pytest.raises(UserError, match="is full; make space"):
            build(photos, mount / "data")
        subprocess.run(["mount", "-o", "remount,size=20m", str(mount)], check=True)
        build(photos, mount / "data")
        assert promised(mount / "data") == promised(built)
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
