"""Datasets in an object store: the local build's bytes, whatever happens to the build or the store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from quick import QUICK
from store_site import SECRET, Fault

import sketchprep
from sketchprep.cli.main import main
from sketchprep.datasets import remote, verify
from sketchprep.errors import UserError
from sketchprep.io import object_store

DOWN = 10**9


def run(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert SECRET not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def build(bucket, root: object, **options) -> sketchprep.datasets.build.build.Result:
    out = str(bucket.url / "data")
    return sketchprep.build(**{"recipe": QUICK, "root": root, "out": out, "jobs": 1, "quiet": True, **options})


def command(bucket, root: object, folder: Path) -> list[str]:
    (folder / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    words = ["build", "--recipe", str(folder / "quick.yaml"), "--root", str(root), "-o", str(bucket.url / "data")]
    return [sys.executable, "-m", "sketchprep", *words, "-j1"]


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One try for each request."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    object_store._filesystem.cache_clear()


def assert_nothing_lost_nothing_twice(bucket, expected: dict[str, str], folder: Path) -> None:
    assert bucket.promised() == expected
    object_store.get(bucket.url / "data/index.parquet", folder / "index.parquet")
    ids = pq.read_table(folder / "index.parquet")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 6


def stock(bucket, built: Path) -> object_store.Url:
    """Put a finished dataset into the bucket, as a build leaves it."""
    for path in built.rglob("*"):
        key = path.relative_to(built).as_posix()
        if path.is_file() and (not key.startswith("log/") or key.endswith(".json")):
            object_store.put(path, bucket.url / f"data/{key}")
    return bucket.url / "data"


def test_photos_and_dataset_in_a_store_have_the_local_bytes(bucket, stored_photos, expected, tmp_path: Path) -> None:
    result = build(bucket, str(stored_photos), jobs=2)
    assert result.out == str(bucket.url / "data")
    assert bucket.promised() == expected
    assert not [key for key in bucket.objects() if key in ("log/unmerged", "log/stop")]
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()], "the scratch folder is cleaned"
    before = len(bucket.server.requests)
    assert build(bucket, str(stored_photos)).made == 0
    again = [line for line in bucket.server.requests[before:] if line.startswith("PUT")]
    assert {line.rpartition("/")[2] for line in again} == {"recipe.yaml", "plan.parquet"}
    with pytest.raises(UserError, match="was begun with another recipe"):
        build(bucket, str(stored_photos), overrides=["size=64"])


def test_every_reader_takes_the_url(bucket, built: Path, tmp_path: Path) -> None:
    url = stock(bucket, built)
    assert "4 of 4 shards complete" in run("status", url).output
    assert f"{url}: 0 faults in 4 shards, 6 pairs" in run("verify", url).output
    assert "nothing failed" in run("failures", url).output
    assert run("preview", url, "-o", tmp_path / "sheet.png").exit_code == 0
    local, stored = sketchprep.open_pairs(built), sketchprep.open_pairs(str(url))
    before = len(bucket.server.requests)
    assert [pair.files for pair in stored] == [pair.files for pair in local]
    reads = [line for line in bucket.server.requests[before:] if line.startswith("GET")]
    assert len(reads) == 6, "one request a pair"
    before = len(bucket.server.requests)
    sketchprep.open_pairs(str(url), split="test")
    assert not [line for line in bucket.server.requests[before:] if "index.parquet" in line], "the index is kept"
    for words in (
        ["export", url, "--to", "pix2pix", "-o", tmp_path / "x"],
        ["train", "deepfacedrawing", "--data", url],
    ):
        refused = run(*words)
        assert refused.exit_code == 2
        assert f"make one with `sketchprep pull {url} DIR`" in refused.output


def test_batch_scripts_for_a_url_are_shown_and_nothing_is_made(bucket, stored_photos, tmp_path: Path) -> None:
    words = ["build", "--source", "folder", "--root", str(stored_photos), "-o", str(bucket.url / "data"), "--dry-run"]
    refused = run(*words, "--executor", "slurm")
    assert refused.exit_code == 2
    assert "--scratch" in refused.output
    shown = run(*words, "--executor", "slurm", "--scratch", tmp_path / "shared")
    assert shown.exit_code == 0, shown.output
    assert "#SBATCH --array" in shown.output
    assert str(tmp_path / "shared") in shown.output
    assert not (tmp_path / "shared").exists()
    assert not [key for key in bucket.objects() if key.startswith("data")]


def test_pull_makes_a_local_dataset_and_goes_on_after_a_break(bucket, built, expected, tmp_path, monkeypatch) -> None:
    url, out = stock(bucket, built), tmp_path / "copy"
    monkeypatch.setattr(object_store, "THREADS", 1)
    impatient(monkeypatch)
    bucket.server.faults.append(Fault(503, r"GET .*train-000001\.tar", DOWN))
    assert run("pull", url, out).exit_code == 2
    bucket.server.faults.clear()
    before = len(bucket.server.requests)
    assert run("pull", url, out).exit_code == 0
    assert not [line for line in bucket.server.requests[before:] if "GET" in line and "test-000000.tar" in line]
    assert "0 faults" in run("verify", out).output
    names = [p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()]
    assert sorted(name for name in names if not name.startswith("log/")) == sorted(expected)
    with pytest.raises(UserError, match="holds something else"):
        remote.pull(str(url), tmp_path)


def test_killed_midway_and_resumed(bucket, stored_photos, expected, tmp_path: Path) -> None:
    process = subprocess.Popen(command(bucket, stored_photos, tmp_path), stderr=subprocess.PIPE)

    def kill(line: str) -> None:
        if line.startswith("PUT") and "train-000001.tar" in line:
            os.kill(process.pid, signal.SIGKILL)

    bucket.server.hook = kill
    assert process.wait(120) == -signal.SIGKILL
    bucket.server.hook = lambda line: None
    there = [key for key in bucket.objects() if key.startswith("shards/") and key.endswith(".parquet")]
    assert there == ["shards/test-000000.parquet", "shards/train-000000.parquet"]
    result = build(bucket, str(stored_photos))
    assert result.made == 3
    assert bucket.puts("train-000000.tar") == 1
    assert_nothing_lost_nothing_twice(bucket, expected, tmp_path)


def test_a_store_that_answers_503_for_a_while(bucket, stored_photos, expected) -> None:
    for line in (r"GET .*photos/", r"PUT .*\.tar", r"PUT .*shards/.*\.parquet", r"PUT .*index", r"GET .*list-type"):
        bucket.server.faults.append(Fault(503, line, 5))
    build(bucket, str(stored_photos))
    assert bucket.promised() == expected


def test_a_store_that_stays_down_costs_no_finished_shard(
    bucket, stored_photos, expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    words = ["build", "--recipe", tmp_path / "quick.yaml", "--root", stored_photos, "-o", bucket.url / "data", "-j1"]
    impatient(monkeypatch)

    def go_down(line: str) -> None:
        if line.startswith("PUT") and "train-000001.tar" in line:
            bucket.server.faults[:] = [Fault(503, ".", DOWN)]

    bucket.server.hook = go_down
    result = run(*words)
    assert result.exit_code == 2
    message = next(line for line in result.output.splitlines() if line.startswith("Error"))
    assert "data/shards/train-000001.tar: the store does not answer (SlowDown it is)" in message
    assert "run the same command again once it does" in message
    bucket.server.hook, bucket.server.faults[:] = lambda line: None, []
    assert {"shards/test-000000.parquet", "shards/train-000000.parquet"} <= set(bucket.objects())
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert bucket.puts("train-000000.tar") == 1
    assert_nothing_lost_nothing_twice(bucket, expected, tmp_path)


def test_wrong_bucket_and_wrong_credentials_are_one_sentence(
    bucket, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    words = ["build", "--recipe", tmp_path / "quick.yaml", "--root", photos, "-j1", "-o"]
    refused = run(*words, "s3://no-such-bucket/data")
    assert refused.exit_code == 2
    assert refused.output.strip() == (
        "Error: s3://no-such-bucket/data: there is no such bucket (The specified bucket does not exist); check the URL"
    )
    assert "there is no such bucket" in run("status", "s3://no-such-bucket/data").output
    assert "holds no dataset" in run("status", bucket.url / "data").output
    object_store.write(bucket.url / "data/thesis.pdf", b"precious")
    assert "something else is there ('thesis.pdf')" in run(*words, bucket.url / "data").output
    object_store._filesystem.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    refused = run(*words, bucket.url / "data")
    assert refused.exit_code == 2
    assert f"Error: {bucket.url}/data: the store refuses (InvalidAccessKeyId" in refused.output
    assert len(refused.output.strip().splitlines()) == 1
    object_store._filesystem.cache_clear()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "no credentials were found" in run("status", bucket.url / "data").output
    object_store._filesystem.cache_clear()


def test_what_a_broken_upload_left_is_found_and_made_again(bucket, built, stored_photos, expected, tmp_path) -> None:
    url = stock(bucket, built)
    object_store.remove(url / "shards/train-000000.tar")
    whole = object_store.read(url / "shards/train-000001.tar")
    object_store.write(url / "shards/train-000001.tar", whole[: len(whole) // 3])
    found = run("verify", url)
    assert found.exit_code == 1
    assert "shards/train-000000.tar: cannot be read" in found.output
    assert "shards/train-000001.tar: sha256 is" in found.output
    object_store.write(url / "shards/train-000002.parquet", b"PAR1")
    assert any("train-000002.parquet: is damaged" in fault for fault in verify.verify(str(url)))
    with pytest.raises(UserError, match=r"shard train-00000\d is cut short or missing; see `sketchprep verify s3://"):
        list(sketchprep.open_pairs(str(url)))
    assert build(bucket, str(stored_photos)).made == 5
    assert bucket.puts("test-000000.tar") == 1, "the sound shard was put there once, by this test"
    assert_nothing_lost_nothing_twice(bucket, expected, tmp_path)


def test_two_builds_at_once_on_one_prefix_leave_the_same_bytes(bucket, stored_photos, expected, tmp_path: Path) -> None:
    """Two machines, as far as a store can tell: each has a temporary folder of its own."""
    words = command(bucket, stored_photos, tmp_path)
    env = [{**os.environ, "TMPDIR": str(tmp_path / name)} for name in ("one", "two")]
    for place in env:
        Path(place["TMPDIR"]).mkdir()
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=place) for place in env]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert_nothing_lost_nothing_twice(bucket, expected, tmp_path)
    assert not [key for key in bucket.objects() if key in ("log/unmerged", "log/stop")]
    assert build(bucket, str(stored_photos)).made == 0


def test_of_two_recipes_at_once_on_one_prefix_the_first_gives_way(bucket, stored_photos, tmp_path: Path) -> None:
    def on_first_tar(line: str) -> None:
        if line.startswith("PUT") and line.endswith("shards/test-000000.tar"):
            other = yaml.safe_dump({"recipe": {"name": "other"}, "depends_on": {}, "hash": "0" * 64})
            object_store.write(bucket.url / "data/recipe.yaml", other.encode())

    bucket.server.hook = on_first_tar
    with pytest.raises(UserError, match="a build with another recipe began there at the same time"):
        build(bucket, str(stored_photos))
    assert "shards/train-000000.tar" not in bucket.objects()
    assert "index.parquet" not in bucket.objects()


def test_a_second_build_of_one_machine_is_refused(bucket, stored_photos, expected) -> None:
    refused: list[str] = []

    def on_first_shard(line: str) -> None:
        if line.startswith("PUT") and line.endswith("shards/test-000000.tar"):
            with pytest.raises(UserError, match="another build of this machine is at work there") as caught:
                build(bucket, str(stored_photos))
            refused.append(str(caught.value))

    bucket.server.hook = on_first_shard
    build(bucket, str(stored_photos))
    assert len(refused) == 1
    assert bucket.promised() == expected


def test_a_build_is_cancelled_and_watched_from_elsewhere(bucket, stored_photos, expected) -> None:
    def on_first_shard(line: str) -> None:
        if line.startswith("PUT") and line.endswith("shards/test-000000.tar"):
            object_store.write(bucket.url / "data/log/stop", b"cancelled\n")

    bucket.server.hook = on_first_shard
    with pytest.raises(sketchprep.datasets.build.build.Cancelled):
        build(bucket, str(stored_photos))
    bucket.server.hook = lambda line: None
    assert run("cancel", bucket.url / "data").exit_code == 0
    assert "1 of 4 shards complete" in run("status", bucket.url / "data").output
    build(bucket, str(stored_photos))
    assert bucket.promised() == expected


def test_a_list_in_a_store_names_photos_in_a_store(bucket, stored_photos, tmp_path: Path) -> None:
    names = sorted(object_store.entries(stored_photos))[:3]
    object_store.write(bucket.url / "list.txt", "\n".join(names).encode())
    build(bucket, str(stored_photos), photo_list=str(bucket.url / "list.txt"))
    assert sorted(pair.id for pair in sketchprep.open_pairs(str(bucket.url / "data"))) == names


def test_failed_photos_are_tried_again(bucket, stored_photos, expected, photos: Path) -> None:
    name = sorted(p.name for p in photos.iterdir())[1]
    object_store.write(stored_photos / name, b"no picture")
    assert build(bucket, str(stored_photos)).failed == 1
    object_store.put(photos / name, stored_photos / name)
    assert build(bucket, str(stored_photos), retry_failed=True).failed == 0
    assert len(sketchprep.open_pairs(str(bucket.url / "data"))) == 6


def test_local_builds_import_nothing_of_this(photos: Path, tmp_path: Path) -> None:
    code = (
        f"import sys, sketchprep; sketchprep.build(recipe={QUICK!r}, root=sys.argv[1], out=sys.argv[2], "
        "jobs=1, quiet=True, limit=2); sketchprep.open_pairs(sys.argv[2])[0]; "
        "print([m for m in sys.modules if m in ('fsspec', 's3fs', 'botocore')])"
    )
    words = [sys.executable, "-c", code, str(photos), str(tmp_path / "d")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []
