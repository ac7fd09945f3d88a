"""doctor and host: what is shown, clashes, missing weights, dtype and device resolution."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from sketchprep.core import doctor, runtime
from sketchprep.errors import UserError

EPYC = "sse4_1 sse4_2 ssse3 popcnt cx16 avx avx2 bmi1 bmi2 f16c fma abm movbe "
V4 = EPYC + "avx512f avx512bw avx512cd avx512dq avx512vl "


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKETCHPREP_CACHE", str(tmp_path / "none"))
    monkeypatch.delenv("SKETCHPREP_OFFLINE", raising=False)
    return tmp_path / "none"


def rows(sections: list[doctor.Section], title: str) -> dict[str, doctor.Row]:
    return {row.label: row for section in sections if section.title == title for row in section.rows}


def flags(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(runtime, "_cpuinfo", lambda: {"flags": text})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)


def installed(monkeypatch: pytest.MonkeyPatch, present: dict[str, str]) -> None:
    def version(name: str) -> str:
        if name not in present:
            raise importlib.metadata.PackageNotFoundError(name)
        return present[name]

    monkeypatch.setattr("importlib.metadata.version", version)


def test_report_names_versions_cache_weights_and_licences(empty_cache: Path) -> None:
    sections = doctor.report(devices=False)
    text = doctor.render(sections)
    versions = rows(sections, "Versions")
    assert versions["torch"].value == importlib.metadata.version("torch")
    assert versions["python"].value.startswith(".".join(map(str, sys.version_info[:2])))
    assert str(empty_cache) in rows(sections, "Cache")["folder"].value
    landmarks = rows(sections, "Weights")["dlib-landmarks-68"]
    assert not landmarks.ok
    assert "missing" in landmarks.value
    assert "300-W" in landmarks.value
    assert "not shipped" in rows(sections, "Datasets")["celebamask-hq"].value
    assert "`sketchprep fetch hed`" in rows(sections, "Missing")["hed"].value
    assert any(line.startswith("! hed ") for line in text.splitlines())
    # Looking must not make anything.
    assert not empty_cache.exists()


def test_a_corrupt_weight_is_reported(empty_cache: Path) -> None:
    from sketchprep.core import weights

    file = weights.state("hed").path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half of it")
    sections = doctor.report(devices=False)
    assert rows(sections, "Weights")["hed"].value.startswith("corrupt")
    assert "hed" in rows(sections, "Missing")


def test_devices_are_seen_through_torch(empty_cache: Path) -> None:
    machine = rows(doctor.report(), "Machine")
    assert "threads" in machine["torch kernels"].value
    assert any(label.startswith(("CUDA", "cuda")) for label in machine)


def test_clashing_distributions_say_what_to_uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"opencv-python-headless": "5", "dlib-bin": "20"})
    assert doctor.clashes() == []
    installed(monkeypatch, {"opencv-python-headless": "5", "opencv-contrib-python": "5", "dlib": "19"})
    (sentence,) = doctor.clashes()
    assert "cv2" in sentence
    assert "`pip uninstall -y opencv-python-headless opencv-contrib-python`" in sentence
    assert "`pip install opencv-python-headless`" in sentence
    installed(monkeypatch, {"dlib-bin": "20", "dlib": "19"})
    (sentence,) = doctor.clashes()
    assert "`pip uninstall -y dlib-bin dlib`" in sentence
    assert "`pip install dlib-bin`" in sentence


def test_clashes_and_missing_packages_reach_the_report(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"opencv-python-headless": "5", "opencv-python": "5"})
    missing = rows(doctor.report(devices=False), "Missing")
    assert "opencv-python" in missing["clash"].value
    assert "pip install dlib-bin" in missing["dlib-bin"].value
    assert "HEIC" in missing


def test_cpu_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in [
        ("sse2", "x86-64-v1"),
        (EPYC, "x86-64-v3"),
        (EPYC + "avx512f", "x86-64-v3"),
        (V4, "x86-64-v4"),
        (V4 + "avx512_vnni avx512_bf16 amx_bf16", "x86-64-v4+avx512_vnni+avx512_bf16+amx_bf16"),
    ]:
        flags(monkeypatch, text)
        assert runtime.cpu_level() == expected


def test_auto_is_bfloat16_only_with_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    flags(monkeypatch, V4)
    assert runtime.resolve_dtype("auto", "cpu") == "float32"
    flags(monkeypatch, V4 + "avx512_bf16")
    assert runtime.resolve_dtype("auto", "cpu") == "bfloat16"
    assert runtime.host() == {"device": "cpu", "cpu": "x86-64-v4+avx512_bf16", "bf16": True}
    # The user took the instructions from oneDNN: bfloat16 would be emulated, and other bytes come out.
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx512_core")
    assert runtime.resolve_dtype("auto", "cpu") == "float32"
    assert runtime.cpu_level().endswith("capped at AVX512_CORE")


def test_explicit_dtypes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    flags(monkeypatch, "sse2")
    assert runtime.resolve_dtype("bfloat16", "cpu") == "bfloat16"
    assert runtime.resolve_dtype("float32", "cpu") == "float32"
    with pytest.raises(UserError, match=r"'float16'.*auto, float32, bfloat16"):
        runtime.resolve_dtype("float16", "cpu")


def test_cuda_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for major, expected in [(7, "float32"), (8, "bfloat16"), (9, "bfloat16")]:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, major=major: (major, 0))
        assert runtime.resolve_dtype("auto", "cuda:0") == expected


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.resolve_device("auto") == "cpu"
    assert runtime.resolve_device("cpu") == "cpu"
    with pytest.raises(UserError, match="device='cuda:0': torch sees 0 CUDA devices"):
        runtime.resolve_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert runtime.resolve_device("auto") == "cuda:0"
    assert runtime.resolve_device("cuda") == "cuda:0"
    assert runtime.resolve_device("cuda:1") == "cuda:1"
    for bad in ("cuda:2", "cuda:x", "gpu", "cpu:0", "auto:1", ""):
        with pytest.raises(UserError, match=r"^device='"):
            runtime.resolve_device(bad)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Toy 9000")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert runtime.host(network=True, device="cuda:1")["device"] == "cuda:Toy 9000"
    assert runtime.host(network=True, device="cuda:1")["bf16"] is False
    assert runtime.host(device="cuda:1")["device"] == "cpu"


def test_host_without_a_network_imports_no_torch() -> None:
    code = "import sys; from sketchprep.core import runtime; runtime.host(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_first_sketcher_says_so_too() -> None:
    code = (
        "import importlib.metadata as m, warnings; real = m.version;"
        "m.version = lambda name: '5' if name == 'opencv-python' else real(name);"
        "caught = warnings.catch_warnings(record=True); log = caught.__enter__(); warnings.simplefilter('always');"
        "from sketchprep.sketching.sketcher import Sketcher; Sketcher(); print([str(w.message) for w in log])"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "pip uninstall -y opencv-python-headless opencv-python" in said


def test_extras_say_how_to_install_them(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == "lightning" else "1.0")
    rows = {row.label: row.value for s in doctor.report(devices=False) if s.title == "Extras" for row in s.rows}
    assert rows["train"] == "missing: run `pip install 'sketchprep[train]'`"
    assert rows["serve"] == rows["onnx"] == "installed"
    assert "dev" not in rows
