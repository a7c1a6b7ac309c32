"""What a node is made of: for the record of a run, and for what is asked of it beforehand."""

import os
from pathlib import Path
from typing import Any

import pynvml

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CPU = Path("/proc/cpuinfo")


def described() -> dict[str, Any]:
    """Model of the processor, cores that this process may use, memory, GPUs; plain values."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_bytes() / 2**30, 1),
        "gpus": gpus(),
    }


def memory_bytes() -> int:
    """Memory of this node, or what its container may use of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.is_file() else "max"
    return physical if limit == "max" else min(physical, int(limit))


def gpus() -> list[dict[str, Any]]:
    """Name and memory of each NVIDIA GPU, as its driver tells; none without a driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return [
            {
                "name": pynvml.nvmlDeviceGetName(handle),
                "memory_mib": pynvml.nvmlDeviceGetMemoryInfo(handle).total // 2**20,
            }
            for handle in handles
        ]
    finally:
        pynvml.nvmlShutdown()


def _cpu() -> str:
    lines = _CPU.read_text().splitlines() if _CPU.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else os.uname().machine
