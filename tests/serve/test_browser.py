"""The page in a real browser: what someone does with pen and mouse, and what then is on the screen."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_faces import draw
from prefix_proxy import prefix_proxy

from sketchprep.io import images
from sketchprep.ops.face_parts import windows
from sketchprep.ops.resize import resize
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.security import origin

Serve = Callable[..., AbstractContextManager[int]]
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        if "chromium" in os.environ.get("SKETCHPREP_REQUIRE", ""):
            pytest.fail("SKETCHPREP_REQUIRE names chromium, but there is no chromium program")
        pytest.skip("needs the chromium program")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def opened(browser: Any, port: int, path: str = "/", **words: Any) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 720}, **words)
    page.set_default_timeout(60_000)
    page.goto(f"http://127.0.0.1:{port}{path}")
    page.wait_for_selector("#state[data-state=open]")
    page.wait_for_selector("#shadow[data-id]", state="attached")
    return page


@pytest.fixture
def page(browser: Any, port: int) -> Iterator[Any]:
    """A fresh page; whatever it complains of, or fetches from elsewhere, is a failure."""
    faults: list[str] = []
    page = opened(browser, port)
    # Chromium says "status of 422" of a picture that the server refuses.
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" and " 422" not in line.text else 0)
    page.on("pageerror", lambda error: faults.append(str(error)))
    here = (f"http://127.0.0.1:{port}/", "blob:", "data:")
    page.on("request", lambda request: None if request.url.startswith(here) else faults.append(request.url))
    yield page
    page.close()
    assert not faults


def stroke(page: Any, *points: tuple[float, float]) -> None:
    box = page.locator("#ink").bounding_box()
    at = [(box["x"] + x * box["width"] / 512, box["y"] + y * box["height"] / 512) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=4)
    page.mouse.up()


OUTLINE = ((256, 60), (120, 160), (120, 340), (256, 480), (390, 340), (390, 160), (256, 60))


def draw_face(page: Any) -> None:
    stroke(page, *OUTLINE)
    stroke(page, (165, 245), (190, 230), (220, 245))
    stroke(page, (290, 245), (320, 230), (350, 245))
    stroke(page, (256, 260), (236, 325), (270, 330))
    stroke(page, (215, 380), (256, 395), (300, 380))
    settle(page)


def until(page: Any, condition: str) -> None:
    """Wait for a condition in JavaScript; Playwright's own way would need the page to allow eval."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def settle(page: Any) -> None:
    """Wait until the newest request has its face."""
    page.wait_for_timeout(60)  # the canvas is encoded before anything is asked
    until(page, "document.body.dataset.asked === document.querySelector('#face').dataset.id")


def pixels(page: Any, name: str) -> np.ndarray:
    """What is on a canvas, over white."""
    url = page.evaluate("name => document.getElementById(name).toDataURL()", name)
    return images.decode(base64.b64decode(url.partition(",")[2]))


def ink(page: Any) -> np.ndarray:
    return pixels(page, "ink")[..., 0]


def test_drawing_brings_shadow_and_face(page: Any) -> None:
    assert page.locator("#invite").is_visible()
    assert page.locator("#none").is_visible()
    before = pixels(page, "shadow")
    draw_face(page)
    found = ink(page)
    assert found[380:400, 200:310].min() < 50
    assert found[420:440, 235:280].min() > 250
    assert not np.array_equal(pixels(page, "shadow"), before)
    assert pixels(page, "face").shape == (64, 64, 3)
    assert pixels(page, "face").std() > 1
    assert not page.locator("#invite").is_visible()
    assert not page.locator("#none").is_visible()
    assert page.locator("#strip button").count() >= 1
    page.click("#clear")
    page.wait_for_selector("#none", state="visible")
    assert ink(page).min() == 255


def test_a_slider_changes_its_part(page: Any) -> None:
    draw_face(page)
    before = pixels(page, "face").astype(int)
    page.fill("#wb-mouth", "1")
    settle(page)
    changed = np.abs(pixels(page, "face").astype(int) - before).sum(axis=2)
    mouth = windows(64)["mouth"]
    inside = changed[mouth.slices].mean()
    changed[mouth.slices] = 0
    assert inside > 0
    assert inside > 3 * changed.sum() / (64 * 64 - mouth.width**2)
    assert page.locator('output[for="wb-mouth"]').inner_text() == "1.00"
    page.fill("#wb-all", "0.55")
    assert page.locator("#wb-nose").input_value() == page.locator("#wb-mouth").input_value() == "0.55"


def test_a_small_drawing_is_moved_into_its_place(page: Any) -> None:
    small = [(x * 0.4 + 20, y * 0.4 + 20) for x, y in OUTLINE]
    stroke(page, *small)
    assert page.locator("#advice").is_hidden()  # one stroke tells nothing
    for at in range(4):
        stroke(page, (95, 110 + 12 * at), (130, 110 + 12 * at))
    page.wait_for_selector("#advice", state="visible")
    assert "fills only" in page.locator("#advice p").inner_text()
    before = ink(page)
    page.click("#place")
    page.wait_for_selector("#advice", state="hidden")
    rows, columns = np.nonzero(ink(page) < 100)
    assert rows.max() - rows.min() > 330
    assert abs((columns.max() + columns.min()) / 2 - 256) < 12
    page.click("#undo")
    assert np.array_equal(ink(page), before)
    page.wait_for_selector("#advice", state="visible")
    page.click("#advice-close")
    stroke(page, (95, 170), (130, 170))
    settle(page)
    assert page.locator("#advice").is_hidden()


def test_undo_redo_eraser_and_shortcuts(page: Any) -> None:
    assert page.locator("#undo").is_disabled()
    stroke(page, (100, 100), (400, 100))
    one = ink(page)
    stroke(page, (100, 200), (400, 200))
    two = ink(page)
    page.keyboard.press("Control+z")
    assert np.array_equal(ink(page), one)
    page.keyboard.press("Control+Shift+Z")
    assert np.array_equal(ink(page), two)
    page.click("#undo")
    page.click("#undo")
    assert ink(page).min() == 255
    page.click("#redo")
    page.keyboard.press("e")
    stroke(page, (250, 60), (250, 140))
    found = ink(page)
    assert found[100, 250] == 255
    assert found[100, 150] < 60
    page.keyboard.press("4")
    assert page.locator("#pen").get_attribute("aria-pressed") == "true"
    stroke(page, (100, 300), (400, 300))
    page.keyboard.press("1")
    stroke(page, (100, 400), (400, 400))
    column = (255 - ink(page)[:, 250].astype(int)) / 255
    assert column[290:310].sum() > column[390:410].sum() + 2
    page.keyboard.press("h")
    assert page.evaluate("document.getElementById('shadow').style.opacity") == "0"
    page.keyboard.press("l")
    assert not page.locator("#live").is_checked()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


def test_a_pens_pressure_is_its_width(page: Any) -> None:
    client = page.context.new_cdp_session(page)
    box = page.locator("#ink").bounding_box()
    for y, force in ((100, 0.1), (200, 1.0)):
        for step, kind in enumerate(["mousePressed", *["mouseMoved"] * 20, "mouseReleased"]):
            client.send("Input.dispatchMouseEvent", {
                "type": kind, "x": box["x"] + 100 + 10 * step, "y": box["y"] + y, "button": "left",
                "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1, "pointerType": "pen", "force": force,
            })  # fmt: skip
    column = (255 - ink(page)[:, 250].astype(int)) / 255
    assert column[190:210].sum() > column[90:110].sum() + 1.5


def touch(client: Any, kind: str, *points: tuple[float, float]) -> None:
    client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})


def test_a_finger_draws_and_a_hand_beside_the_pen_does_not(browser: Any, port: int) -> None:
    page = opened(browser, port, has_touch=True)
    client = page.context.new_cdp_session(page)
    box = page.locator("#ink").bounding_box()
    left, top = box["x"], box["y"]

    def finger(y: float) -> None:
        touch(client, "touchStart", (left + 100, top + y))
        for x in range(110, 300, 10):
            touch(client, "touchMove", (left + x, top + y))
        touch(client, "touchEnd")

    finger(100)
    assert ink(page)[100, 200] < 60
    pen = {"pointerType": "pen", "force": 0.5, "button": "left", "clickCount": 1}
    for kind, x in (("mousePressed", 100), ("mouseMoved", 300), ("mouseReleased", 300)):
        buttons = 0 if kind == "mouseReleased" else 1
        client.send("Input.dispatchMouseEvent", pen | {"type": kind, "x": left + x, "y": top + 200, "buttons": buttons})
    finger(300)
    assert ink(page)[200, 200] < 60
    assert ink(page)[300].min() == 255
    page.close()


def test_live_off_waits_for_the_button(page: Any) -> None:
    page.click("#live")
    stroke(page, (256, 60), (120, 160), (120, 340), (256, 480))
    until(page, "document.body.dataset.asked === document.querySelector('#shadow').dataset.id")
    assert page.locator("#none").is_visible()
    page.click("#draw")
    settle(page)
    assert page.locator("#none").is_hidden()


def test_pictures_are_loaded_and_saved(page: Any, tmp_path: Path) -> None:
    sketch = draw(100, 300)[1]
    (tmp_path / "mine.png").write_bytes(images.encode_png(sketch))
    (tmp_path / "wrong.png").write_bytes(b"<svg/>")
    (tmp_path / "tiny.png").write_bytes(images.encode_png(np.zeros((5, 5), np.uint8)))
    for name in ("wrong", "tiny"):
        page.set_input_files("#file", tmp_path / f"{name}.png")
        until(page, f"document.querySelector('#toast').textContent.includes('{name}.png cannot be loaded: ')")
        assert ink(page).min() == 255
    page.set_input_files("#file", tmp_path / "mine.png")
    settle(page)
    larger = resize(sketch, (512, 512))
    assert ink(page)[larger < 60].mean() < 90
    assert ink(page)[larger > 250].mean() > 235
    for button, name, shown in (("#save-sketch", "sketch.png", "ink"), ("#save-face", "face.png", "face")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
        saved = images.decode(Path(download.value.path()).read_bytes())
        assert np.abs(saved.astype(int) - pixels(page, shown)).max() <= 1


def test_a_part_is_taken_and_only_there(page: Any) -> None:
    draw_face(page)
    before = ink(page)
    page.click("#tab-nose")
    assert page.locator("#tab-nose").get_attribute("aria-checked") == "true"
    assert page.locator("#near button").count() == 10
    page.click("#near button:nth-child(2)")
    until(page, "document.querySelector('#strip').children.length > 0")
    settle(page)
    changed = ink(page) != before
    assert changed[windows(512)["nose"].slices].any()
    changed[windows(512)["nose"].slices] = False
    assert not changed.any()
    page.click("#undo")
    assert np.array_equal(ink(page), before)


def test_examples_history_and_morph(page: Any) -> None:
    faces = []
    for which, key in ((1, "a"), (4, "b")):
        page.click("#tools .examples-open")
        page.click(f"#example-list button:nth-child({which})")
        page.wait_for_selector("#examples", state="hidden")
        until(page, f"document.querySelectorAll('#strip button').length === {len(faces) + 1}")
        settle(page)
        faces.append(pixels(page, "face").astype(int))
        page.click(f"#keep-{key}")
    drawn = ink(page)
    for share, end in (("1", 1), ("0", 0)):
        page.fill("#morph", share)
        until(page, f"document.querySelector('#took').textContent === 'morph {100 * int(share)} %'")
        assert np.abs(pixels(page, "face") - faces[end]).max() <= 2
    page.click("#strip button:nth-child(2)")
    settle(page)
    assert np.abs(pixels(page, "face") - faces[0]).max() <= 2
    page.click("#undo")
    assert np.array_equal(ink(page), drawn)


def test_the_connection_is_lost_and_regained(browser: Any, service: DrawingService, serve_service: Serve) -> None:
    with serve_service(service) as port:
        page = opened(browser, port)
    page.wait_for_selector("#state[data-state=lost]")
    stroke(page, (256, 60), (120, 160), (120, 340), (256, 480))
    assert page.locator("#none").is_visible()
    with serve_service(service, port):
        page.wait_for_selector("#state[data-state=open]")
        settle(page)
        assert page.locator("#none").is_hidden()
        page.close()


def test_a_keyboard_reaches_everything_in_the_order_of_the_page(page: Any) -> None:
    draw_face(page)
    page.focus("#bank")
    seen = ["bank"]
    while (name := focused(page)) not in seen:
        seen.append(name)
    order = ["bank", "theme", "help-open", "pen", "width", "undo", "shadow-on", "load", "save-face", "ink", "live",
             "draw", "wb-all", "wb-mouth", "keep-a", "tab-mouth"]  # fmt: skip
    assert [name for name in seen if name in order] == order
    page.focus("#tab-mouth")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-remainder").get_attribute("aria-checked") == "true"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # takes the nearest hair
    settle(page)
    assert (ink(page)[:60] < 250).any()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()


def focused(page: Any) -> str:
    page.keyboard.press("Tab")
    return str(page.evaluate("document.activeElement.id || document.activeElement.outerHTML"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_everything_has_a_name(browser: Any, port: int, scheme: str) -> None:
    page = opened(browser, port, color_scheme=scheme)
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [1280, 720]
    nameless = """[...document.querySelectorAll('button, input, select, [role=img]')].filter(one =>
        !(one.ariaLabel || one.textContent.trim() || one.title || one.labels?.length
          || one.querySelector('img[alt]'))).map(one => one.outerHTML)"""
    assert page.evaluate(nameless) == []
    background = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0] > 128"
    assert page.evaluate(background) == (scheme == "light")
    page.click("#theme")
    assert page.evaluate(background) == (scheme == "dark")
    page.reload()
    page.wait_for_selector("#state[data-state=open]")
    assert page.evaluate(background) == (scheme == "dark")
    page.close()


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (768, 1024), (390, 844)])
def test_a_tablet_has_the_whole_paper_and_nothing_beside_the_screen(
    browser: Any, port: int, width: int, height: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height}, has_touch=True)
    page.goto(f"http://127.0.0.1:{port}/")
    page.wait_for_selector("#shadow[data-id]", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    box = page.locator("#ink").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= height
    assert abs(box["width"] - box["height"]) < 1
    overlaps = """[...document.querySelectorAll("main > section")].map(one => one.getBoundingClientRect())
        .some((a, at, all) => all.slice(at + 1).some(b => a.left < b.right && b.left < a.right && a.top < b.bottom
          && b.top < a.bottom))"""
    assert not page.evaluate(overlaps)
    page.close()


def test_the_api_is_described(browser: Any, port: int) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{port}/api")
    page.wait_for_selector("#paths section")
    words = page.locator("main").inner_text()
    for wanted in ("POST /api/synthesize", "GET /api/model", "wb", f"127.0.0.1:{port}/api/synthesize"):
        assert wanted in words
    page.close()


def test_behind_a_proxys_path_it_draws_or_says_what_the_server_must_be_told(
    browser: Any, serve_service: Serve, service: DrawingService
) -> None:
    prefix = "/user/x/proxy/7860"
    with serve_service(service) as inner, prefix_proxy(inner, prefix) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}{prefix}/")
        until(page, "document.getElementById('state').textContent.includes('--allow-origin')")
        page.close()
        own = origin(page.url)
    with serve_service(service, origins=[own], root_path=prefix) as inner, prefix_proxy(inner, prefix, port=port):
        page = opened(browser, port, path=f"{prefix}/")
        draw_face(page)
        settle(page)
        assert page.locator("#near img").count() == 10
        assert page.evaluate("[...document.images].every(image => image.loading === 'lazy' || image.naturalWidth > 0)")
        page.click("#help-open")
        page.click("text=the HTTP API")
        page.wait_for_selector("#paths section")
        assert f"127.0.0.1:{port}{prefix}/api/synthesize" in page.locator("main").inner_text()
        page.close()
