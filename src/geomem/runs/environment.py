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
from geomem.runs.directory import format_bytes
from geomem.version import find_version


def check_device(device: str) -> None:
    """Raise `InputError` unless torch can compute there.

    >>> check_device("cpu")
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind == "cpu":
        return
    if not torch.cuda.is_available():
        why = f" ({misfit})" if kind == "cuda" and (misfit := describe_misfit()) else ""
        raise InputError(f"device is {device!r}; give cpu; this machine's torch finds no CUDA device{why}.")
    count = torch.cuda.device_count()
    if kind != "cuda" or (torch.device(device).index or 0) >= count:
        last = f", or cuda:0 to cuda:{count - 1}" if count > 1 else ""
        raise InputError(f"device is {device!r}; give cpu or cuda{last}.")


def has_device(device: str) -> bool:
    """Whether torch can compute there.

    >>> has_device("cpu")
    True
    """
    try:
        check_device(device)
    except InputError:
        return False
    return True


def find_device(device: str | None) -> str:
    """The device that is given, else a card if torch finds one; raises `InputError` as `check_device` does.

    >>> find_device("cpu")
    'cpu'
    """
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device)
    return device


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
    """torch's version, its threads, and the cards it finds with their memory and driver, in one line."""
    cards = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        cards.append(f"{name} ({format_bytes(total)}, {format_bytes(free)} free)")
    driver = f", driver {seen[1]}" if cards and (seen := seen_cards()) else ""
    cuda = (
        f"CUDA {torch.version.cuda} on {', '.join(cards)}{driver}"
        if cards
        else "no CUDA device (none is needed)"
    )
    return f"{torch.__version__}, {torch.get_num_threads()} threads, {cuda}"


def describe_misfit() -> str:
    """Why this torch finds no card, and what to do; empty if it finds one or there is none to find."""
    if torch.cuda.is_available():
        return ""
    build, seen = torch.version.cuda, seen_cards()
    if not seen:
        built = f"torch is built for CUDA {build} and there is no card; its CPU build is enough, and smaller"
        return built if build else ""
    cards, driver = seen
    if build is None:
        return f"nvidia-smi sees {cards}, but torch is built without CUDA; install torch's CUDA build"
    if (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return f"CUDA_VISIBLE_DEVICES is {hidden!r} and hides {cards}; unset it"
    try:
        torch.cuda.init()
        said = "it finds no device"
    except (RuntimeError, AssertionError) as error:
        said = " ".join(str(error).split())
    if "too old" in said:
        return (
            f"the driver {driver} of {cards} is too old for CUDA {build}, which torch is built for; "
            "update the driver, or install a torch built for an older CUDA"
        )
    return (
        f"nvidia-smi sees {cards} with driver {driver}, but torch, built for CUDA {build}, cannot use it "
        f"({said.partition('. ')[0]}); update the driver or torch"
    )


def seen_cards() -> tuple[str, str] | None:
    """The cards that nvidia-smi sees, and their driver; None without it or them."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.rpartition(", ") for line in done.stdout.splitlines() if ", " in line]
    return (", ".join(row[0] for row in rows), rows[0][2]) if rows else None


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
