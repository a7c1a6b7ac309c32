"""What a node says of itself."""

import os
from pathlib import Path

import pytest

from lucency.training import hardware


def test_container_limit_counts_as_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the limit counts, not the machine."""
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(hardware, "_CGROUP_LIMIT", limit)
    physical = hardware.memory_bytes()
    limit.write_text("max\n")
    assert hardware.memory_bytes() == physical

    limit.write_text("1048576\n")

    assert hardware.memory_bytes() == 2**20


def test_node_describes_itself_without_names() -> None:
    """Processor, cores, memory and GPUs; neither host nor user."""
    found = hardware.described()

    assert set(found) == {"cpu", "cores", "memory_gib", "gpus"}
    assert found["cpu"]
    assert 1 <= found["cores"] <= (os.cpu_count() or 1)
    assert found["memory_gib"] > 0
    assert all(gpu["memory_mib"] > 0 for gpu in found["gpus"])


def test_processor_without_a_name_is_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels for ARM list no model name."""
    monkeypatch.setattr(hardware, "_CPU", tmp_path / "cpuinfo")

    assert hardware.described()["cpu"] == os.uname().machine
