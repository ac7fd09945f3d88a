"""What this machine can do, as far as the bytes of a dataset depend on it: device, CPU features, native bfloat16."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from sketchprep.errors import UserError

__all__ = ["cpu_flags", "cpu_level", "cpu_model", "has_native_bf16", "host", "resolve_device", "resolve_dtype"]

DTYPES = ("auto", "float32", "bfloat16")
# The levels of the x86-64 psABI, by the names Linux gives the flags.
_X86_LEVELS = (
    ("x86-64-v2", {"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    ("x86-64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}),
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)
# Beyond the levels: what oneDNN's and OpenCV's kernels choose by.
_EXTRAS = (
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "sve",
    "sve2",
    "bf16",
    "i8mm",
)
_NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
# Caps that leave oneDNN its bfloat16 instructions.
_ISA_CAPS_WITH_BF16 = ("", "ALL", "DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX")


@cache
def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return {}
    first = text.split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def cpu_model() -> str:
    """The processor's name, or the architecture where the system does not tell."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction set flags as Linux names them; empty elsewhere."""
    info = _cpuinfo()
    return frozenset((info.get("flags") or info.get("Features") or "").split())


def cpu_level() -> str:
    """Instruction set level and what goes beyond it, for instance ``"x86-64-v4+avx512_vnni+avx512_bf16"``.

    Two machines with the same string run the same kernels.  A cap set through ``ONEDNN_MAX_CPU_ISA`` is part of it.
    """
    flags, level = cpu_flags(), platform.machine()
    if level in ("x86_64", "AMD64"):
        level = "x86-64-v1"
        needed: set[str] = set()
        for name, more in _X86_LEVELS:
            needed |= more
            level = name if needed <= flags else level
    cap = _isa_cap()
    return "+".join([level, *(flag for flag in _EXTRAS if flag in flags)]) + (f" capped at {cap}" if cap else "")


def has_native_bf16(device: str = "cpu") -> bool:
    """True if `device` multiplies bfloat16 in hardware rather than by emulation.

    Parameters
    ----------
    device : str
        ``"cpu"``: AVX512-BF16, AMX or Arm's BF16 (oneDNN also accepts bfloat16 on plain AVX-512, slowly, and rounds
        otherwise).  ``"cuda"`` or ``"cuda:N"``: compute capability 8.0 and above.
    """
    if device == "cpu":
        return bool(cpu_flags() & _NATIVE_BF16) and _isa_cap() in _ISA_CAPS_WITH_BF16
    import torch

    return torch.cuda.get_device_capability(device)[0] >= 8


def resolve_dtype(dtype: str, device: str) -> str:
    """The dtype a network runs in: ``auto`` is bfloat16 where `device` has it in hardware, else float32.

    Parameters
    ----------
    dtype : {"auto", "float32", "bfloat16"}
    device : str
        A resolved device, see `resolve_device`.

    Raises
    ------
    UserError
        For another dtype.
    """
    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r} is unknown; use one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return dtype
    return "bfloat16" if has_native_bf16(device) else "float32"


def resolve_device(device: str = "auto") -> str:
    """``"cpu"`` or ``"cuda:N"``; ``auto`` is the first CUDA device that torch sees, else the CPU.

    Raises
    ------
    UserError
        If the device is unknown or not there.
    """
    if device == "cpu":
        return device
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise UserError(f"--device {device} is unknown; use auto, cpu or cuda:N")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto" and count == 0:
        return "cpu"
    if int(index or 0) >= count:
        raise UserError(f"--device {device}: torch sees {count} CUDA devices; use cpu, or see `sketchprep doctor`")
    return f"cuda:{int(index or 0)}"


def host(*, network: bool = False, device: str = "auto") -> dict[str, str | bool]:
    """What a dataset's bytes depend on besides recipe, inputs and versions.

    Parameters
    ----------
    network : bool
        True if a stage runs a network: only then `device` counts and torch is imported.
    device : str
        As for `resolve_device`.

    Returns
    -------
    dict
        ``device``: ``"cpu"`` or ``"cuda:MODEL NAME"`` (two cards of a kind are one); ``cpu``: see `cpu_level`;
        ``bf16``: native bfloat16 on that device.
    """
    resolved = resolve_device(device) if network else "cpu"
    label = resolved
    if resolved != "cpu":
        import torch

        label = f"cuda:{torch.cuda.get_device_name(resolved)}"
    return {"device": label, "cpu": cpu_level(), "bf16": has_native_bf16(resolved)}


def _isa_cap() -> str:
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    return "" if cap in ("ALL", "DEFAULT") else cap
