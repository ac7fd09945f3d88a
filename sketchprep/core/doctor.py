"""What is installed, what this machine offers, what is missing for what: for people and for bug reports."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sketchprep.core import runtime, weights
from sketchprep.core.version import VERSION
from sketchprep.core.weights_manifest import manifest

__all__ = ["Row", "Section", "clashes", "installed_version", "render", "report"]

# Distributions that install the same modules; the first is the one this package depends on.
_SAME_MODULES = {
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "dlib": ("dlib-bin", "dlib"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a label, what was found, and False in `ok` where it needs attention."""

    label: str
    value: str
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """A titled list of rows."""

    title: str
    rows: list[Row] = field(default_factory=list)


def report(*, verify: bool = False, devices: bool = True) -> list[Section]:
    """Everything `sketchprep doctor` shows.

    Parameters
    ----------
    verify : bool
        Recompute the sha256 of every weight in the cache, not only look at its size.
    devices : bool
        Import torch to see CUDA devices (takes seconds).

    Returns
    -------
    list of Section
        Versions, extras, machine, cache, weights, datasets, decoders, and last what is missing for what.
    """
    states = [weights.state(name, verify=verify) for name in weights.names()]
    sections = [_versions(), _extras(), _machine(devices), _cache(), _weights(states), _datasets(), _decoders()]
    return [*sections, _missing(sections, states)]


def render(sections: list[Section]) -> str:
    """The report as plain text, labels aligned, ``!`` before what needs attention."""
    lines = []
    for section in sections:
        lines.append(section.title)
        width = max((len(row.label) for row in section.rows), default=0)
        lines += [f"{' ' if row.ok else '!'} {row.label:<{width}}  {row.value}".rstrip() for row in section.rows]
        lines.append("")
    return "\n".join(lines)


def clashes() -> list[str]:
    """One sentence for each module that two installed distributions both claim; imports nothing."""
    sentences = []
    for module, distributions in _SAME_MODULES.items():
        installed = [name for name in distributions if installed_version(name) is not None]
        if len(installed) > 1:
            sentences.append(
                f"{' and '.join(installed)} both install the module {module} and overwrite each other's files: run "
                f"`pip uninstall -y {' '.join(installed)}` and then `pip install {distributions[0]}`"
            )
    return sentences


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    """Names of the core dependencies, from the installed metadata."""
    try:
        lines = importlib.metadata.requires("sketchprep") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [_package(line) for line in lines if "extra ==" not in line]


def _versions() -> Section:
    rows = [
        Row("python", f"{platform.python_version()} ({sys.executable})"),
        Row("sketchprep", VERSION),
    ]
    for name in sorted(_requirements(), key=str.lower):
        version = installed_version(name)
        rows.append(Row(name, version or f"missing: run `pip install {name}`", version is not None))
    rows += [Row("clash", sentence, False) for sentence in clashes()]
    return Section("Versions", rows)


def _extras() -> Section:
    """What else can be installed, by the packages that it needs."""
    rows = []
    for name in importlib.metadata.metadata("sketchprep").get_all("Provides-Extra") or []:
        if name == "dev":
            continue
        lines = [
            line for line in importlib.metadata.requires("sketchprep") or [] if f'extra == "{name}"' in _quoted(line)
        ]
        missing = [package for package in map(_package, lines) if installed_version(package) is None]
        rows.append(Row(name, f"missing: run `pip install 'sketchprep[{name}]'`" if missing else "installed"))
    return Section("Extras", rows)


def _package(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _quoted(requirement: str) -> str:
    return requirement.replace("'", '"')


def _machine(devices: bool) -> Section:
    flags = runtime.cpu_flags()
    features = {
        "AVX2": "avx2" in flags,
        "AVX-512": "avx512f" in flags,
        "bfloat16 in hardware": runtime.has_native_bf16("cpu"),
    }
    rows = [
        Row("system", platform.platform()),
        Row("CPU", runtime.cpu_model()),
        Row("cores", f"{len(os.sched_getaffinity(0))} available of {os.cpu_count()}"),
        Row("CPU level", runtime.cpu_level()),
        Row("CPU features", ", ".join(f"{name}: {'yes' if there else 'no'}" for name, there in features.items())),
    ]
    if devices and importlib.util.find_spec("torch"):
        rows += _torch_rows()
    return Section("Machine", rows)


def _torch_rows() -> list[Row]:
    import torch

    rows = [Row("torch kernels", f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads")]
    if not torch.cuda.is_available():
        return [*rows, Row("CUDA", f"none seen by torch {torch.__version__}")]
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        native = "yes" if runtime.has_native_bf16(f"cuda:{index}") else "no"
        rows.append(Row(f"cuda:{index}", f"{device.name}, {device.total_memory / 2**30:.0f} GiB, bfloat16: {native}"))
    return rows


def _cache() -> Section:
    folder = weights.cache_folder()
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK)
    rows = [
        Row("folder", f"{folder}{'' if folder.exists() else ' (not made yet)'}"),
        Row("size", _size(used)),
        Row("free", _size(free), free > 500e6),
        Row("writable", "yes" if writable else "no: set SKETCHPREP_CACHE to a folder of your own", writable),
        Row("offline", "yes" if weights.is_offline() else "no"),
    ]
    return Section("Cache", rows)


def _weights(states: list[weights.AssetState]) -> Section:
    rows = []
    for state in states:
        there = state.state == "ready" or not state.download_bytes
        size = _size(state.bytes) if there else f"{_size(state.download_bytes)} to download"
        licence = f"{state.licence}. {state.restriction}".rstrip(". ")
        rows.append(Row(state.name, f"{state.state}, {size}; {licence}", state.state == "ready"))
    return Section("Weights", rows)


def _datasets() -> Section:
    rows = []
    for name, dataset in manifest().datasets.items():
        where = "shipped" if dataset.shipped else "not shipped"
        licence = f"{dataset.licence}. {dataset.restriction}".rstrip(". ")
        rows.append(Row(name, f"{where}; {licence}; {dataset.origin}"))
    return Section("Datasets", rows)


def _decoders() -> Section:
    rows = [Row("JPEG, PNG, WebP, TIFF, BMP, GIF", "OpenCV and Pillow")]
    if importlib.util.find_spec("PIL"):
        from PIL import features

        avif = bool(features.check("avif"))
        rows.append(Row("AVIF", "Pillow" if avif else "none: run `pip install 'pillow>=11.3'`", avif))
    heif = installed_version("pillow-heif")
    rows.append(Row("HEIC", f"pillow-heif {heif}" if heif else "none: run `pip install pillow-heif`", heif is not None))
    return Section("Picture formats", rows)


def _missing(sections: list[Section], states: list[weights.AssetState]) -> Section:
    rows = [
        Row(state.name, f"for {', '.join(state.used_by)}: {state.remedy}", False)
        for state in states
        if state.state != "ready"
    ]
    if importlib.util.find_spec("pip") is None:
        rows.append(Row("pip", f"for fetching weights: run `{Path(sys.executable).name} -m ensurepip`", False))
    for section in sections:
        if section.title in ("Versions", "Picture formats"):
            rows += [row for row in section.rows if not row.ok]
    if not runtime.has_native_bf16("cpu"):
        rows.append(Row("bfloat16", "not in this CPU's hardware: networks run in float32 here, about half as fast"))
    return Section("Missing", rows or [Row("nothing", "")])


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
