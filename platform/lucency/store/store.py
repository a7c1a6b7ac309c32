"""
Versions and aliases in a folder, on a disk or a shared file system.

``versions/<version>/`` are bundles, never changed once there; ``aliases.json`` says which one
is ``champion`` and which was ``previous``; ``history.jsonl`` who moved what and why. A replica
reads two small files and a bundle: it needs no registry server to answer.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lucency import environment, files
from lucency.bundle.artifact import Artifact
from lucency.errors import StoreError
from lucency.ledger import Ledger

CHAMPION = "champion"
PREVIOUS = "previous"


class Store:
    """A model store rooted at a folder, which is made on the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._aliases = root / "aliases.json"
        self._history = Ledger(root / "history.jsonl")

    def aliases(self) -> dict[str, str]:
        """Alias -> version."""
        if not self._aliases.is_file():
            return {}
        found: dict[str, str] = json.loads(self._aliases.read_text())
        return found

    def history(self) -> list[dict[str, Any]]:
        """Every move of an alias, oldest first."""
        return self._history.entries()

    def path(self, alias: str = CHAMPION) -> Path:
        """
        The bundle that an alias names.

        Raises:
            StoreError: no such alias, or its bundle is gone.
        """
        aliases = self.aliases()
        if alias not in aliases:
            raise StoreError(
                f"store {str(self.root)!r} has no alias {alias!r}, it has {sorted(aliases)}: "
                "promote a bundle with python jobs/promote.py"
            )
        bundle = self.root / "versions" / aliases[alias]
        if not bundle.is_dir():
            raise StoreError(f"alias {alias!r} names {aliases[alias]!r}, which {bundle} lacks")
        return bundle

    def promote(self, artifact: Artifact, reason: str) -> str:
        """
        Make a bundle the champion; the champion before it becomes the previous one.

        Only the gate calls this. Promoting the champion again changes nothing.

        Raises:
            ArtifactError: the copy is damaged.
            StoreError: the bundle was sealed anew since it was judged.
        """
        with self._locked():
            version = artifact.version
            target = self.root / "versions" / version
            if not target.exists():
                with files.atomic_folder(target) as folder:
                    shutil.copytree(artifact.path, folder, dirs_exist_ok=True)
                    _same(artifact, folder)
            _same(artifact, target)
            aliases = self.aliases()
            if aliases.get(CHAMPION) != version:
                before = {PREVIOUS: aliases[CHAMPION]} if CHAMPION in aliases else {}
                self._move({**aliases, **before, CHAMPION: version}, "promote", reason)
        return version

    def rollback(self, reason: str) -> str:
        """
        Champion and previous change places.

        Raises:
            StoreError: there is no other version to go back to.
        """
        with self._locked():
            aliases = self.aliases()
            if PREVIOUS not in aliases:
                raise StoreError(
                    f"store {str(self.root)!r} has no previous version to go back to: "
                    f"its aliases are {aliases}"
                )
            Artifact.load(self.root / "versions" / aliases[PREVIOUS])
            self._move(
                {**aliases, CHAMPION: aliases[PREVIOUS], PREVIOUS: aliases[CHAMPION]},
                "rollback",
                reason,
            )
            return aliases[PREVIOUS]

    def _move(self, aliases: dict[str, str], action: str, reason: str) -> None:
        # The history first: a crash between the two leaves a line too many, never a silent move.
        self._history.append(
            {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "who": environment.user(),
                "action": action,
                "reason": reason,
                "aliases": aliases,
            }
        )
        files.write_json(self._aliases, aliases)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as cause:
                raise StoreError(
                    f"store {str(self.root)!r} is being changed by another process: try again"
                ) from cause
            yield


def _same(artifact: Artifact, copy: Path) -> None:
    """The gate judged one bundle; what takes its name must be that one."""
    if Artifact.load(copy).digest != artifact.digest:
        raise StoreError(
            f"{str(artifact.path)!r} was sealed anew since it was judged as "
            f"{artifact.version!r}: promote it again"
        )
