"""The machine that runs are trained on: devices, free memory, threads, versions."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from geomem.errors import InputError
from geomem.version import find_version


def check_device(device: str) -> None:
    """Raise `InputError` unless torch can compute there.

    >>> check_device("cpu")
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        have = (
            "cpu or cuda" if torch.cuda.is_available() else "cpu; this machine's torch finds no CUDA device"
        )
        raise InputError(f"device is {device!r}; give {have}.")


def describe_environment(device: str = "cpu") -> dict[str, Any]:
    """What a result depends on besides its configuration: versions, device, number type, platform, source."""
    names = ("torch", "numpy", "scipy", "networkx", "safetensors", "polars")
    on_gpu = torch.device(device).type == "cuda"
    return {
        "versions": {"python": platform.python_version(), "geomem": find_version()}
        | {name: version(name) for name in names},
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        "dtype": "float32",
        "platform": platform.platform(),
        "git": _source_state(),
    }


def describe_devices() -> str:
    """torch's version, its threads, and the CUDA devices it finds, in one line."""
    devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    cuda = (
        f"CUDA {torch.version.cuda} on {', '.join(devices)}" if devices else "no CUDA device (none is needed)"
    )
    return f"{torch.__version__}, {torch.get_num_threads()} threads, {cuda}"


def available_memory(device: str = "cpu") -> int:
    """Bytes of memory that a training on the device could still take."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        free.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # not Linux, or no limit ("max")
        pass
    return min(free, default=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let torch compute on `count` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _source_state() -> dict[str, Any] | None:
    """Commit of this source tree and whether files differ from it; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": changed}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
