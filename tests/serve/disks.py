"""A disk that a test fills to its last byte, and frees again."""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

SIZE_KIB = 256


class Disk(Protocol):
    """
    What holds the logs.

    Attributes:
        folder: On it.
    """

    folder: Path

    def fill(self) -> None: ...

    def free(self) -> None: ...


class Small:
    """A mounted tmpfs: the kernel itself says ENOSPC, in the middle of a line too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Until not one block is left; the last blocks of files may have room."""
        with (self.folder / "ballast").open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                return

    def free(self) -> None:
        """As it was."""
        (self.folder / "ballast").unlink()


class Limited:
    """
    Any folder, where mounting is not allowed: the kernel lets files grow no further.

    For this whole process; what it answers is EFBIG, after part of a line, as on a full disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """A third of a line more than the longest file has."""
        longest = max((path.stat().st_size for path in self.folder.rglob("*.jsonl")), default=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (longest + 150, self._before[1]))

    def free(self) -> None:
        """As it was."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@contextmanager
def small(folder: Path) -> Iterator[Disk]:
    """A disk of 256 KiB; where the system mounts nothing for us, a limit of the process."""
    options = f"size={SIZE_KIB}k"
    mount = ["mount", "-t", "tmpfs", "-o", options, "lucency-tests", str(folder)]
    if shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode:
        try:
            yield Small(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        return
    limited = Limited(folder)
    try:
        yield limited
    finally:
        limited.free()
