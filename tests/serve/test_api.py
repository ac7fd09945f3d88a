"""The HTTP side: page, API, and whom and what it refuses."""

from __future__ import annotations

import http.client
import json
import re
import struct
import time
import zlib
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest
from drawn_faces import draw
from hostile_pictures import many_scans
from page_clients import call, refusal

from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.face_parts import PARTS, windows
from sketchprep.ops.resize import resize
from sketchprep.serve.limits import MOST_PICTURE
from sketchprep.serve.security import Guard, hosts_for

STATIC = Path(__file__).resolve().parents[2] / "sketchprep" / "serve" / "static"


def test_the_page_keeps_to_itself(port: int) -> None:
    answer, page = call(port, "/")
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["access-control-allow-origin"] is None
    assert answer.headers["x-content-type-options"] == "nosniff"
    wanted = re.findall(rb'(?:src|href)="([^"]+)"', page)
    assert len(wanted) >= 3
    for path in wanted:
        assert call(port, urljoin("/", path.decode()))[0].status == 200
    for file in STATIC.iterdir():
        text = file.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?://|style=|\son\w+=", text), file
        for name in re.findall(r'from "\./(.+?)"', text):
            assert (STATIC / name).exists()


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/", "/docs",
     "/examples/..%2f..%2fcli.py", "/examples/README.md", "/static/page.css%00.js", "/%2e%2e/%2e%2e/etc/passwd"],
)  # fmt: skip
def test_no_path_leaves_its_folder(port: int, path: str) -> None:
    assert call(port, path)[0].status == 404


def test_the_model_describes_itself(port: int, synthesizer: Synthesizer) -> None:
    about = json.loads(call(port, "/api/model")[1])
    assert about["wb"] == {"remainder": 0.8, **dict.fromkeys(list(PARTS)[:4], 0.3)}
    assert (about["size"], about["canvas"], about["parts"]) == (64, 512, list(PARTS))
    assert about["windows"]["nose"] == list(windows(512)["nose"])
    assert {(bank["name"], bank["title"], bank["faces"]) for bank in about["banks"]} == {
        ("", "All faces", 40), ("Male=0", "Women", 20), ("Male=1", "Men", 20)}  # fmt: skip
    described = json.loads(call(port, "/api/openapi.json")[1])
    assert "/api/synthesize" in described["paths"]


def test_examples_are_sketches(port: int) -> None:
    names = json.loads(call(port, "/api/examples")[1])
    assert names
    for name in names:
        assert images.decode_gray(call(port, f"/examples/{name}")[1]).shape == (512, 512)


def test_synthesize_draws_what_the_model_draws(port: int, synthesizer: Synthesizer, canvases: list[bytes]) -> None:
    sketch = draw(100, 64)[1]
    answer, data = call(port, "/api/synthesize?wb=0.5,mouth=1&bank=Male%3D1", images.encode_png(sketch))
    assert answer.headers["content-type"] == "image/png"
    face = images.decode(data)
    assert face.shape == (64, 64, 3)
    codes, _, _ = synthesizer.project_sketches(sketch[None], wb=1)
    assert not np.array_equal(face, synthesizer.faces(codes)[0])
    faithful = images.decode(call(port, "/api/synthesize?wb=1", images.encode_png(sketch))[1])
    everyone = images.decode(call(port, "/api/synthesize?wb=0.5,mouth=1", images.encode_png(sketch))[1])
    assert not np.array_equal(face, faithful)
    assert not np.array_equal(face, everyone)


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [("wb=2", 400, "wb=2"), ("wb=ear=1", 400, "ear"), ("wb=much", 400, "much"), ("bank=Hat%3D1", 400, "Hat=1"),
     ("kind=film", 422, "photo"), ("align=up", 422, "ink"), ("wb=nan", 400, "nan"), ("bank=" + "x" * 999, 422, "200")],
)  # fmt: skip
def test_wrong_words_are_told(port: int, canvases: list[bytes], query: str, status: int, word: str) -> None:
    found, text = refusal(port, f"/api/synthesize?{query}", canvases[0])
    assert found == status
    assert word in text


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header claims more than there is."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (head, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize("path", ["/api/synthesize", "/api/picture"])
def test_what_is_no_picture_is_refused_and_the_server_goes_on(port: int, canvases: list[bytes], path: str) -> None:
    wrong = {
        "nothing": b"", "text": b"a face", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='9'/></svg>",
        "cut": canvases[0][:500], "bomb": bomb(100_000, 100_000), "large": bomb(9000, 9000),
        "tiny": images.encode_png(np.zeros((9, 9), np.uint8)),
        "blank": images.encode_png(np.full((99, 99), 255, np.uint8)),
    }  # fmt: skip
    for name, data in wrong.items():
        status, text = refusal(port, path, data)
        assert status == 422, name
        assert text
    assert call(port, path, canvases[0])[0].status == 200


@pytest.mark.parametrize("progressive", [True, False])
def test_small_files_that_take_long_are_refused_at_once(port: int, progressive: bool) -> None:
    data = many_scans(2000, 7071, 7071, progressive=progressive)
    assert len(data) < 200_000
    start = time.perf_counter()
    for path in ("/api/picture", "/api/synthesize"):
        status, text = refusal(port, path, data)
        assert status == 422
        assert "scans" in text
    assert time.perf_counter() - start < 2
    sketch = images.encode_png(draw(3, 128)[1])
    assert call(port, "/api/picture", sketch)[0].status == 200


def test_too_many_bytes_are_refused_before_they_are_read(port: int) -> None:
    claimed, _ = call(port, "/api/picture", b"", **{"Content-Length": str(MOST_PICTURE + 1)})
    assert claimed.status == 413
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/api/picture", iter([bytes(1 << 20)] * ((MOST_PICTURE >> 20) + 2)))
    answer = connection.getresponse()
    assert answer.status == 413
    assert "MB" in json.loads(answer.read())["error"]
    connection.close()


def test_a_picture_becomes_a_canvas(port: int) -> None:
    sketch = draw(100, 300)[1]
    answer, data = call(port, "/api/picture", images.encode_png(sketch))
    assert answer.headers["x-kind"] == "sketch"
    found = images.decode_gray(data)
    assert found.shape == (512, 512)
    larger = resize(sketch, (512, 512))
    assert found[larger < 60].mean() < 80
    assert found[larger > 250].mean() > 240


def test_a_canvas_is_moved_into_its_place(port: int) -> None:
    page = np.full((512, 512), 255, np.uint8)
    page[20:220, 20:220] = resize(draw(100, 300)[1], (200, 200))
    rows, columns = np.nonzero(images.decode_gray(call(port, "/api/place", images.encode_png(page))[1]) < 100)
    assert rows.max() - rows.min() > 300
    assert columns.max() - columns.min() > 200
    for wrong in (b"", b"<svg/>", images.encode_png(np.zeros((64, 64), np.uint8)), bomb(100_000, 100_000)):
        status, text = refusal(port, "/api/place", wrong)
        assert status == 422
        assert text


def test_what_is_described_is_there(port: int) -> None:
    page = call(port, "/api")[1].decode()
    assert "api.js" in page
    described = json.loads(call(port, "/api/openapi.json")[1])
    assert all(about["description"] for methods in described["paths"].values() for about in methods.values())


def test_parts_of_the_bank_are_pictures(port: int) -> None:
    for part, window in windows(512).items():
        picture = images.decode_gray(call(port, f"/api/parts/{part}/3.png")[1])
        assert picture.shape == (window.height, window.width)
    for path in ("ear/3", "nose/40", "nose/-1", "nose/x", "nose/9" + "9" * 30, "..%2fnose/3"):
        status, text = refusal(port, f"/api/parts/{path}.png")
        assert 400 <= status < 500
        assert text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost:1@evil.example"])
def test_foreign_names_are_refused(port: int, host: str) -> None:
    answer, _ = call(port, "/api/model", Host=host)
    assert answer.status in (400, 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "file://"])
def test_foreign_pages_are_refused(port: int, canvases: list[bytes], origin: str) -> None:
    assert refusal(port, "/api/synthesize", canvases[0], Origin=origin)[0] == 403
    own = f"127.0.0.1:{port}"
    assert call(port, "/api/synthesize", canvases[0], Host=own, Origin=f"http://{own}")[0].status == 200


def test_other_names_are_answered_to_where_the_user_says_so() -> None:
    def good(name: str, hosts: list[str]) -> bool:
        guard = Guard(None, hosts=hosts)  # type: ignore[arg-type]
        return guard.fault({"type": "http", "headers": [(b"host", name.encode())]}) is None

    alone = hosts_for("127.0.0.1")
    assert good("localhost:7860", alone)
    assert good("[::1]:7860", alone)
    assert not good("192.168.0.9:7860", alone)
    everywhere = hosts_for("0.0.0.0", ["service.lan"])
    assert good("192.168.0.9:7860", everywhere)
    assert good("Service.lan", everywhere)
    assert not good("evil.example", everywhere)
