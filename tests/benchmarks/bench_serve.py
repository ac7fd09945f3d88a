"""The page in a real browser: from the end of a stroke to its shadow and its face; eight clients at once; memory.

python tests/benchmarks/bench_serve.py [--run RUN] [--preset tiny] [--faces 4000] [--strokes 200] [--threads 2]

A server process of its own.  Strokes are those of the bundled freehand drawings, drawn with the pointer in headless
Chromium; each waits for the face of the one before.  "On screen" is after the frame that shows it was painted; server
and browser share the machine.  The eight clients then draw over real WebSockets, each a stroke every 0.8 seconds
whether there was an answer or not.  Without a run (--run, the bundled one, runs/deepfacedrawing, demo/model) the model
has random weights and a bank of random codes: as fast as a trained one, and nothing to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sketchprep.models.deepfacedrawing.drawing.pretrained import DEMO, RUN, bundled

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from traced_strokes import sketches, trace

USUAL = (Path(RUN), Path(DEMO))
CLIENTS, PACE = 8, 0.8
# Times, in the page: the end of a stroke, and the painting of the frame with what it brought.
WATCH = """() => {
  const found = window.found = [];
  addEventListener("pointerup", (event) => found.push({start: event.timeStamp}), true);
  for (const id of ["shadow", "face"]) new MutationObserver(() => {
    const stroke = found.at(-1);
    if (!stroke || stroke[id]) return;
    stroke[id] = -1;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => { stroke[id] = performance.now() - stroke.start; };
      port2.postMessage(0);
    });
  }).observe(document.getElementById(id), { attributeFilter: ["data-id"] });
}"""


# A face there, or none after three seconds: a stroke too short to be a part gets none.
DRAWN = """(({ shadow, face, start }) => shadow > 0 && (face > 0 || performance.now() - start > 3000))(
  found.at(-1) ?? {})"""


def random_run(folder: Path, preset: str, faces: int) -> Path:
    """A model of a preset with random weights, and a bank of as many faces."""
    import torch

    from sketchprep.models.deepfacedrawing.drawing.bank import make_bank
    from sketchprep.models.deepfacedrawing.drawing.synthesizer import encoders_digest
    from sketchprep.models.deepfacedrawing.networks.model import build, load_face_model, save_face_model
    from sketchprep.models.deepfacedrawing.training.settings import Settings
    from sketchprep.training import presets

    torch.manual_seed(0)
    architecture = presets.load("deepfacedrawing", preset, Settings)[1].architecture()
    save_face_model(build(architecture).state_dict(), architecture, folder / "deepfacedrawing.safetensors")
    digest = encoders_digest(load_face_model(folder))
    codes = torch.randn(faces, 5, architecture.latent)
    make_bank(codes, [str(number) for number in range(faces)], digest).save(folder / "bank.safetensors")
    return folder


@contextlib.contextmanager
def served(run: Path, threads: int) -> Iterator[tuple[str, int]]:
    """Address and process id of a server that has decoded its bank."""
    words = [sys.executable, "-m", "sketchprep", "serve", "--run", str(run), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)}
    )
    try:
        assert process.stdout is not None
        match = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
        assert match, "the server did not start"
        while model_facts(match.group())["prepared"] < 1:
            time.sleep(0.3)
        yield match.group(), process.pid
    finally:
        process.terminate()
        process.wait(30)


def model_facts(address: str) -> dict[str, Any]:
    """Answer of /api/model."""
    from urllib.request import urlopen

    with urlopen(f"{address}/api/model", timeout=120) as answer:
        return json.load(answer)


def memory(pid: int, key: str = "VmHWM") -> float:
    """MB of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status[key].split()[0]) / 1024


def browse(address: str, strokes: int) -> list[dict[str, float]]:
    """Draw that many strokes; milliseconds of each."""
    from playwright.sync_api import sync_playwright

    drawings = [trace(path, longest=80) for path in sketches()]
    with sync_playwright() as playwright:
        words = {"executable_path": shutil.which("chromium"), "args": ["--no-sandbox", "--disable-gpu"]}
        page = playwright.chromium.launch(**words).new_page(viewport={"width": 1280, "height": 720})
        page.goto(address)
        page.wait_for_selector("#shadow[data-id]", state="attached")
        page.evaluate(WATCH)
        box = page.locator("#ink").bounding_box()
        left = strokes
        for drawing in drawings:
            some, left = drawing[:left], left - len(drawing[:left])
            for stroke in some:
                points = stroke * (box["width"] / 512) + (box["x"], box["y"])
                page.mouse.move(*points[0])
                page.mouse.down()
                for point in points[1:]:
                    page.mouse.move(*point)
                page.mouse.up()
                # A dot or a short curl is no part yet and gets no face; it is left out below.
                wait(page, DRAWN)
            if some:
                page.click("#clear")
                wait(page, "!document.getElementById('none').hidden")
        return [one for one in page.evaluate("found") if one.get("face", 0) > 0]


def wait(page: Any, condition: str) -> None:
    """Until something is true in the page; Playwright's own way would need the page to allow eval."""
    end = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(15)


def canvases(at: int) -> list[bytes]:
    """What a canvas looks like after each stroke of a drawing."""
    page, found = np.full((512, 512), 255, np.uint8), []
    files = sketches()
    for stroke in trace(files[at % len(files)], longest=80):
        cv2.polylines(page, [np.rint(stroke * 8).astype(np.int32)], False, 0, 3, cv2.LINE_AA, 3)
        found.append(cv2.imencode(".png", page)[1].tobytes())
    return found


def packed(number: int, canvas: bytes) -> bytes:
    """A request for shadow and face."""
    header = {"id": number, "type": "draw", "want": ["shadow", "face"], "wb": [0.3] * 5, "bank": [""]}
    text = json.dumps(header | {"sizes": [len(canvas)]}).encode()
    return len(text).to_bytes(4, "big") + text + canvas


async def client(address: str, at: int, strokes: int) -> dict[str, list[float]]:
    """Draw at a steady pace; milliseconds until shadows and faces, and whether the last face came."""
    from websockets.asyncio.client import connect

    pages = canvases(at)[:strokes]
    sent: dict[int, float] = {}
    found: dict[str, list[float]] = {"shadow": [], "face": [], "error": [], "newest": []}

    async def read(socket: Any) -> None:
        async for data in socket:
            header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "big")])
            found[header["type"]].append(1000 * (time.perf_counter() - sent[header["id"]]))
            if header["type"] == "face" and header["id"] == len(pages):
                found["newest"].append(1)
                return

    async with connect(address.replace("http", "ws") + "/ws", max_size=None) as socket:
        reading = asyncio.create_task(read(socket))
        for number, canvas in enumerate(pages, 1):
            sent[number] = time.perf_counter()
            await socket.send(packed(number, canvas))
            await asyncio.sleep(PACE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reading, 30)
    return found


async def together(address: str, strokes: int) -> dict[str, list[float]]:
    """Eight clients at once; their times in one."""
    each = await asyncio.gather(*(client(address, at, strokes) for at in range(CLIENTS)))
    return {key: [value for one in each for value in one[key]] for key in each[0]}


def row(name: str, values: list[float], asked: str = "") -> str:
    """Of the table: median, 95th percentile, largest."""
    middle, high = np.percentile(values, [50, 95]) if values else (np.nan, np.nan)
    return f"| {name} | {middle:.0f} | {high:.0f} | {max(values, default=np.nan):.0f} | {asked} |"


def report(run: Path, args: argparse.Namespace) -> None:
    """Measure, and print."""
    with served(run, args.threads) as (address, pid):
        about = model_facts(address)
        before = memory(pid)
        found = browse(address, args.strokes) if shutil.which("chromium") else []
        after = memory(pid)
        eight = asyncio.run(together(address, args.each))
        last = memory(pid)
    size, faces = about["size"], about["faces"]
    what = run if args.run or not args.random else f"random weights, preset {args.preset}"
    print(f"{what}: {size} px, bank of {faces:,}, {args.threads} threads, {len(found)} strokes in Chromium\n")
    print("| ms from the end of a stroke | p50 | p95 | most | asked for p95 |")
    print("|---|---|---|---|---|")
    print(row("shadow on screen", [one["shadow"] for one in found], "120"))
    print(row("face on screen", [one["face"] for one in found], "700"))
    print(row(f"{CLIENTS} clients, a stroke every {PACE} s each: shadow received", eight["shadow"]))
    print(row("the same: face received", eight["face"]))
    got = f"{len(eight['shadow'])} shadows, {len(eight['face'])} faces, {len(eight['error'])} errors"
    print(f"\n{CLIENTS * args.each} drawings of {CLIENTS} clients: {got}; newer drawings overtook the rest.")
    print(f"The face of its newest drawing came to {len(eight['newest'])} of {CLIENTS}. Peak memory of the server:")
    print(f"{before:.0f} MB at rest, {after:.0f} after one client, {last:.0f} after {CLIENTS}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--random", action="store_true", help="random weights, whatever models there are")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--faces", type=int, default=4000)
    parser.add_argument("--strokes", type=int, default=200)
    parser.add_argument("--each", type=int, default=25, help="strokes of each of the eight clients")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    here = next((path for path in USUAL if path.exists()), None)
    run = args.run or (None if args.random else bundled() or here)
    with tempfile.TemporaryDirectory() as folder:
        args.random = run is None
        report(run or random_run(Path(folder), args.preset, args.faces), args)


if __name__ == "__main__":
    main()
