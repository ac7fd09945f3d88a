"""Eight people draw at once, on a real server process over real WebSockets."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_faces import draw

from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.serve.drawing import DrawingService

CLIENTS, STROKES = 8, 12


def drawing(number: int) -> list[bytes]:
    """A canvas after each of some strokes: more and more of a face is there."""
    page = draw(200 + number, 512)[1]
    found = []
    for stroke in range(1, STROKES + 1):
        part = page.copy()
        part[round(512 * (0.3 + 0.7 * stroke / STROKES)) :] = 255
        found.append(images.encode_png(part))
    return found


def packed(number: int, canvas: bytes) -> bytes:
    header = {"id": number, "type": "draw", "want": ["shadow", "face"], "wb": [0.3] * 5, "bank": [""]}
    text = json.dumps(header | {"sizes": [len(canvas)]}).encode()
    return len(text).to_bytes(4, "big") + text + canvas


async def person(port: int, pages: list[bytes]) -> tuple[bytes, list[dict[str, Any]]]:
    """Draw without waiting; the face of the last canvas, and every answer's header."""
    from websockets.asyncio.client import connect

    seen: list[dict[str, Any]] = []
    async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None, open_timeout=60, ping_timeout=60) as socket:

        async def scribble() -> None:
            for number, page in enumerate(pages, 1):
                await socket.send(packed(number, page))
                await asyncio.sleep(0.05)

        writing = asyncio.create_task(scribble())
        async for data in socket:
            assert isinstance(data, bytes)
            length = int.from_bytes(data[:4], "big")
            seen.append(json.loads(data[4 : 4 + length]))
            if seen[-1]["type"] == "face" and seen[-1]["id"] == len(pages):
                await writing
                return data[4 + length :], seen
    raise AssertionError("the server went away")


def peak(pid: int) -> int:
    """Bytes."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024  # type: ignore[index]


@pytest.fixture
def server(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SKETCHPREP_CACHE", str(tmp_path))
    words = [sys.executable, "-m", "sketchprep", "serve", "--run", str(run), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
            assert found
            yield int(found[1]), process
        finally:
            process.kill()


def test_eight_draw_at_once_and_each_sees_its_newest(server: Any, synthesizer: Synthesizer) -> None:
    port, process = server
    pages = [drawing(number) for number in range(CLIENTS)]

    async def together() -> list[tuple[bytes, list[dict[str, Any]]]]:
        return await asyncio.wait_for(asyncio.gather(*(person(port, each) for each in pages)), 240)

    asyncio.run(person(port, pages[0]))  # what is loaded at the first drawing is there before memory is measured
    before = peak(process.pid)
    found = asyncio.run(together())
    grown = peak(process.pid) - before
    alone = DrawingService(synthesizer, device="cpu", offline=True)
    for each, (png, seen) in zip(pages, found, strict=True):
        assert not [header for header in seen if header["type"] == "error"]
        assert [header["id"] for header in seen] == sorted(header["id"] for header in seen)
        last = alone.face(alone.analyse(each[-1], wb=[0.3] * 5, shadow=False).blended)
        assert np.abs(images.decode(png).astype(int) - images.decode(last)).max() <= 2
    assert len({png for png, _ in found}) == CLIENTS
    assert grown < 64e6, f"{grown / 1e6:.0f} MB more for eight"
    process.terminate()
    assert "Traceback" not in process.communicate(timeout=60)[0]
