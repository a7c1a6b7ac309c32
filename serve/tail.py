"""The journals of all replicas, read as they grow: every line once, whoever wrote it."""

from datetime import date
from pathlib import Path


class Tail:
    """
    What was added to the files of a journal, ``<root>/<day>/<replica>.jsonl``.

    Args:
        block_bytes: Of one file at a time, and of a reading about: a long log is no long pause.
    """

    def __init__(self, root: Path, block_bytes: int = 8 * 2**20) -> None:
        self._root = root
        self._block = block_bytes
        self._read: dict[Path, int] = {}

    def lines(self, since: date) -> tuple[list[bytes], bool]:
        """
        Whole lines that are new, of days from ``since`` on; and whether they were all.

        A line may come twice, where a failing disk has taken it back.
        """
        found: list[bytes] = []
        size = 0
        for path in sorted(self._root.glob("*/*.jsonl")):
            if date.fromisoformat(path.parent.name) < since:
                continue
            block, whole = self._block_of(path)
            found += block.splitlines(keepends=True)
            size += len(block)
            if not whole or size >= self._block:
                return found, False
        return found, True

    def _block_of(self, path: Path) -> tuple[bytes, bool]:
        """The next lines of a file, and whether it is read to its end now."""
        place = self._read.get(path, 0)
        try:
            size = path.stat().st_size
            if size == place:
                return b"", True
            place = 0 if size < place else place
            with path.open("rb") as stream:
                stream.seek(place)
                block = stream.read(self._block)
        except FileNotFoundError:  # too old, and deleted by another replica since it was listed
            return b"", True
        lines = block[: block.rfind(b"\n") + 1]
        self._read[path] = place + len(lines)
        return lines, place + len(block) >= size
