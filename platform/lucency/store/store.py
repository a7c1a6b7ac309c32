"""
Versions and aliases on a disk, a shared file system or in a bucket.

``versions/<version>/`` are bundles, never changed once there. ``history.jsonl`` (in a bucket a
folder of numbered lines) says who moved what and why, and each line holds the aliases after it:
those of the last line are in force. So a move is one line, which is there or is not: a crash
leaves the state before it or the one after, and no second file can disagree.

| alias | names |
| --- | --- |
| champion | what answers |
| challenger | what has passed the gate and is being tried beside it |
| previous | what answered before; a rollback changes it with the champion |
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lucency import environment
from lucency.bundle.artifact import Artifact
from lucency.errors import StoreError
from lucency.ledger import Entries
from lucency.store.place import Folder, Place

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"


@dataclass(frozen=True)
class State:
    """
    What is in force, as one look found it; whoever moves an alias says which he saw.

    Attributes:
        aliases: Alias -> version.
        rollout: How far the challenger has come; None while it has not begun.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    rollout: Mapping[str, Any] | None = None


class Store:
    """
    A model store at a folder or a URI, which is made on the first write.

    Every method that changes it takes ``expected``, the state that its caller has seen. Where
    that is no longer in force nothing is changed, and the error says what was: of two that
    promote at once exactly one wins. Left out, the state at the call is expected.
    """

    def __init__(self, root: Path | str) -> None:
        self.name = str(root)
        self.place: Place = _place(root)

    def state(self) -> State:
        """Aliases and rollout, of one moment."""
        last = self.place.last()
        return State() if last is None else _state(last)

    def aliases(self) -> dict[str, str]:
        """Alias -> version."""
        return dict(self.state().aliases)

    def history(self) -> Entries:
        """Every move, oldest first."""
        return self.place.entries()

    def path(self, alias: str = CHAMPION) -> Path:
        """
        The bundle that an alias names, on this machine.

        Raises:
            StoreError: no such alias, or its bundle is gone.
        """
        aliases = self.aliases()
        if alias not in aliases:
            raise StoreError(
                f"store {self.name!r} has no alias {alias!r}, it has {sorted(aliases)}: "
                "promote a bundle with python jobs/promote.py"
            )
        return self.place.get(aliases[alias])

    def promote(
        self,
        artifact: Artifact,
        reason: str,
        *,
        challenger: bool = False,
        expected: State | None = None,
        **figures: Any,
    ) -> str:
        """
        Make a bundle the champion; the champion before it becomes the previous one.

        Only the gate calls this. Promoting the champion again changes nothing.

        Args:
            challenger: Put it beside the champion instead.
            figures: Kept in the history beside the reason.

        Raises:
            ArtifactError: the copy is damaged.
            StoreError: someone else moved an alias, the bundle was sealed anew since it was
                judged, or a challenger has no champion to be tried against.
        """
        version = artifact.version
        seen = expected or self.state()
        self.place.put(artifact)
        aliases = dict(seen.aliases)
        if challenger:
            self._can_challenge(aliases, version)
            after = {**aliases, CHALLENGER: version}
        elif aliases.get(CHAMPION) == version:
            after = aliases
        else:
            before = {PREVIOUS: aliases[CHAMPION]} if CHAMPION in aliases else {}
            after = {**aliases, **before, CHAMPION: version}
            if after.get(CHALLENGER) == version:
                del after[CHALLENGER]
        if after != aliases:
            self._move(
                seen, State(after), "challenge" if challenger else "promote", reason, figures
            )
        return version

    def rollback(self, reason: str, *, expected: State | None = None) -> str:
        """
        Champion and previous change places; a challenger stays one, and is tried anew.

        Raises:
            ArtifactError: the version to go back to is damaged.
            StoreError: there is none, or someone else moved an alias.
        """
        seen = expected or self.state()
        if PREVIOUS not in seen.aliases:
            raise StoreError(
                f"store {self.name!r} has no previous version to go back to: "
                f"its aliases are {dict(seen.aliases)}"
            )
        back = seen.aliases[PREVIOUS]
        Artifact.load(self.place.get(back))
        after = {**seen.aliases, CHAMPION: back, PREVIOUS: seen.aliases[CHAMPION]}
        if after.get(CHALLENGER) == back:
            del after[CHALLENGER]
        self._move(seen, State(after), "rollback", reason, {})
        return back

    def withdraw(self, reason: str, *, expected: State | None = None, **figures: Any) -> str:
        """
        Take the challenger away; its bundle stays.

        Raises:
            StoreError: there is none, or someone else moved an alias.
        """
        seen = expected or self.state()
        after = dict(seen.aliases)
        if CHALLENGER not in after:
            raise StoreError(f"store {self.name!r} has no challenger: its aliases are {after}")
        version = after.pop(CHALLENGER)
        self._move(seen, State(after), "withdraw", reason, figures)
        return version

    def roll_out(
        self, rollout: Mapping[str, Any], reason: str, *, expected: State, **figures: Any
    ) -> State:
        """
        Note how far the challenger has come; the aliases stay.

        Raises:
            StoreError: someone else moved an alias, or took this step.
        """
        after = replace(expected, rollout=dict(rollout))
        self._move(expected, after, "roll out", reason, figures)
        return after

    def _can_challenge(self, aliases: Mapping[str, str], version: str) -> None:
        if CHAMPION not in aliases:
            raise StoreError(
                f"store {self.name!r} has no champion that a challenger could be tried against: "
                "promote the bundle itself"
            )
        if aliases[CHAMPION] == version:
            raise StoreError(f"{version!r} is the champion of store {self.name!r} already")

    def _move(
        self, seen: State, after: State, action: str, reason: str, figures: Mapping[str, Any]
    ) -> None:
        entries = self.history()
        if (_state(entries[-1]) if entries else State()) != seen:
            raise self._moved(seen, entries)
        line = {
            "id": secrets.token_hex(8),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": environment.user(),
            "action": action,
            "reason": reason,
            "aliases": dict(after.aliases),
            **({"rollout": dict(after.rollout)} if after.rollout else {}),
            **({"figures": dict(figures)} if figures else {}),
        }
        if not self.place.append(line, after=len(entries)):
            raise self._moved(seen, self.history())

    def _moved(self, seen: State, entries: Entries) -> StoreError:
        """What an error tells the one who came second."""
        last = entries[-1]
        now = _state(last)
        changed = [
            f"{alias} went from {seen.aliases.get(alias)!r} to {now.aliases.get(alias)!r}"
            for alias in sorted({*seen.aliases, *now.aliases})
            if seen.aliases.get(alias) != now.aliases.get(alias)
        ]
        if seen.rollout != now.rollout:
            changed.append(f"the rollout from {seen.rollout} to {now.rollout}")
        return StoreError(
            f"store {self.name!r} was changed since you looked: "
            f"{' and '.join(changed) or 'it is as it was again'} ({last['action']} by "
            f"{last['who']} at {last['at']}: {last['reason']}). Nothing was moved; look at it "
            "again and decide anew"
        )


def _state(line: Mapping[str, Any]) -> State:
    return State(line["aliases"], line.get("rollout"))


def _place(root: Path | str) -> Place:
    text = str(root)
    if text.startswith("file://"):
        return Folder(Path(text.removeprefix("file://")))
    if "://" not in text:
        return Folder(Path(root))
    # What a bucket needs is not installed where stores are folders.
    from lucency.store.remote import Remote

    return Remote(text)
