"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# What decides how fast convolutions and decoders are.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
LIBRARIES = (
    "numpy",
    "pydicom",
    "SimpleITK",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "glymur",
    "torch",
    "prefect",
    "dask",
    "distributed",
    "duckdb",
)


def describe_machine() -> dict[str, object]:
    """Processor, cores, flags, memory, load, and the versions of what is measured. No host name."""
    cpu = _cpu_info()
    flags = set(cpu.get("flags", "").split())
    return {
        "cpu": f"{cpu.get('model name', platform.processor())}"
        f" (family {cpu.get('cpu family', '?')}, model {cpu.get('model', '?')})",
        "cores": len(os.sched_getaffinity(0)),
        "flags": [name for name in FLAGS if name in flags],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_at_start": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def machine_name(machine: dict[str, object]) -> str:
    """Name of the results file: processor and cores, such as amd-epyc-25-1-2-cores."""
    return re.sub(r"[^a-z0-9]+", "-", f"{machine['cpu']} {machine['cores']} cores".lower()).strip("-")


def _cpu_info() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text().split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
