"""How much memory of a device is free, and how much this process has taken at most."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

SHARE = 0.8  # of what is free that may be asked for: allocators round up, and others are at work too
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
MEGA, GIGA = 1e6, 1e9
UNLIMITED = 1 << 60  # bytes; cgroups without a limit say a number beyond it, or `max`


def free_memory(device: torch.device) -> int | None:
    """Bytes of a device's memory that are free now, this process's limits considered; None where nothing tells."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        # A process that shares the device may take so much of it, and no more.
        part = int(total * torch.cuda.memory.get_per_process_memory_fraction(device))
        free = min(free, max(0, part - torch.cuda.memory_reserved(device)))
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, for what comes
        return free + kept
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    known = [part for part in (_available(), *_cgroup_limits()) if part is not None]
    return max(0, min(known)) if known else None


def peak_memory(device: torch.device) -> int | None:
    """Bytes that this process has taken of a device's memory at most, since it began; None where nothing tells."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return None
    status = PROC / "self" / "status"
    if status.exists():  # what `getrusage` says begins with what the process had that started this one
        highest = (line.split()[1] for line in _lines(status) if line.startswith("VmHWM"))
        return int(next(highest, "0")) * 1024 or None
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def in_words(count: int) -> str:
    """Bytes for people: `31 GB`, `1.2 GB`, `40 MB`."""
    if count < MEGA:
        return f"{count / 1e3:.0f} kB"
    if count < GIGA:
        return f"{count / MEGA:.0f} MB"
    return f"{count / GIGA:,.{0 if count >= 10 * GIGA else 1}f} GB"


def _available() -> int | None:
    """What the system could give without swapping."""
    for line in _lines(PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):  # elsewhere than on Linux only the second, if any
        try:
            return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            continue
    return None


def _cgroup_limits() -> list[int]:
    """What the process's control groups leave, those of version 1 and of version 2, up to the root."""
    left = []
    for line in _lines(PROC / "self" / "cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            folders, limit, used, cache = [CGROUPS, CGROUPS / "unified"], "memory.max", "memory.current", "file"
        elif "memory" in controllers.split(","):
            folders, limit, used = [CGROUPS / "memory"], "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_cache"
        else:
            continue
        for root in folders:
            group = root / path.strip("/")
            while group == root or root in group.parents:  # in a container the path may be the host's: the root is ours
                most, taken = _number(group / limit), _number(group / used)
                if most is not None and taken is not None and most < UNLIMITED:
                    left.append(most - taken + _reclaimable(group / "memory.stat", cache))
                group = group.parent
    return left


def _reclaimable(stat: Path, cache: str) -> int:
    """What of a group's memory are files that were read, which make room for others."""
    counts = dict(line.split(maxsplit=1) for line in _lines(stat) if " " in line)
    try:
        files, shared = int(counts.get(cache, 0)), int(counts.get("shmem", counts.get("total_shmem", 0)))
    except ValueError:
        return 0
    return max(0, files - shared)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # `max` is no number, and no limit
        return None


def _lines(file: Path) -> list[str]:
    try:
        # Names of processes and groups are bytes, cut off anywhere.
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except (OSError, ValueError):
        return []
