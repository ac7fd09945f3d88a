"""The command: its mistakes, its address, its end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from sketchprep.cli.main import main


def mistake(*words: object) -> str:
    result = CliRunner().invoke(main, ["serve", *(str(word) for word in words)])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return next(line for line in result.output.splitlines() if line.startswith("Error: "))


def test_mistakes_are_one_sentence(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "only one" in mistake("--run", run, "--model", run / "deepfacedrawing.safetensors")
    assert "--port 70000" in mistake("--run", run, "--port", 70000)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port {port}" in mistake("--run", run, "--port", port)
    assert "203.0.113.9" in mistake("--run", run, "--host", "203.0.113.9", "--port", 0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sketchprep.models.deepfacedrawing.drawing.pretrained.bundled", lambda: None)
    assert "runs/deepfacedrawing" in mistake("--port", 0)


@pytest.mark.parametrize("missing", ["uvicorn", "fastapi", "websockets"])
def test_without_the_extra_the_remedy_is_named(run: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name == "sketchprep.serve.app" or name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "sketchprep[serve]" in mistake("--run", run)


def test_it_serves_until_interrupted(run: Path) -> None:
    words = [sys.executable, "-m", "sketchprep", "serve", "--checkpoint", str(run), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite run in the background ignores it
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        with urlopen(found.group() + "api/model", timeout=120) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.wait()
