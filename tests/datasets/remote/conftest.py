"""One real S3-compatible server for all tests of this folder; every test has a bucket of its own."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_site import KEY, SECRET, Store

from sketchprep.datasets.build import publish
from sketchprep.io import object_store

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    site = Store(tmp_path_factory.mktemp("store"))
    try:
        yield site
    finally:
        site.stop()


class Bucket:
    """A bucket, seen without the proxy's faults."""

    def __init__(self, server: Store, name: str) -> None:
        self.server, self.url = server, object_store.Url(f"s3://{name}/box")
        object_store._open(self.url)[0].mkdir(name)

    def objects(self, under: str = "data") -> dict[str, object_store.Entry]:
        return object_store.entries(self.url / under)

    def promised(self) -> dict[str, str]:
        """Digests of everything but the logs."""
        place = self.url / "data"
        found = [key for key in self.objects() if not key.startswith("log/")]
        return {key: hashlib.sha256(object_store.read(place / key)).hexdigest() for key in found}

    def puts(self, ending: str) -> int:
        return sum(line.startswith("PUT") and line.split("?")[0].endswith(ending) for line in self.server.requests)


@pytest.fixture
def bucket(server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    values = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("sketchprep.datasets.remote.copies", lambda: tmp_path / "copies")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(publish, "POLL_SECONDS", 0.2)
    server.faults.clear()
    server.requests.clear()
    yield Bucket(server, f"bucket-{next(_numbers)}")
    server.faults.clear()
    server.hook = lambda line: None
    object_store._filesystem.cache_clear()


@pytest.fixture
def expected(built: Path) -> dict[str, str]:
    """Digests of the local build, without the logs."""
    paths = [p for p in built.rglob("*") if p.is_file() and p.relative_to(built).parts[0] != "log"]
    return {p.relative_to(built).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@pytest.fixture
def stored_photos(bucket: Bucket, photos: Path) -> object_store.Url:
    """The portraits of the local build, in the bucket."""
    for path in photos.iterdir():
        object_store.put(path, bucket.url / f"photos/{path.name}")
    return bucket.url / "photos"
