"""
Whether a journal is what was written.

Found: an edited, added, removed or moved line, with its number; a file that is gone; an end that
was cut off after it was anchored; heads that were changed; all of it also where the digests were
computed anew, since that takes the key.

Not found: lines cut off the end of the newest file that no anchor had seen yet (``anchor_s``), or
older ones where the end of the heads was cut off with them. For that, keep ``head`` of each
verification elsewhere and give it to the next. Whoever has the key can write any history.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from lucency.audit.heads import FILE, Heads, Known
from lucency.audit.key import Key
from lucency.errors import LedgerError
from lucency.ledger import BEGIN, Chain


@dataclass(frozen=True)
class Problem:
    """One thing that is not as written; ``line`` is 0 where it concerns a whole file."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}{f' line {self.line}' if self.line else ''}: {self.what}"


@dataclass
class Report:
    """
    What was found in one journal.

    Attributes:
        head: The last digest of its heads, to be kept elsewhere.
        notes: What is no proof of tampering, as the torn last line of a killed process.
    """

    files: int = 0
    lines: int = 0
    purged: int = 0
    head: str | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(root: Path, key: Key, *, expect: str | None = None) -> Report:
    """
    Read a whole journal and say what is wrong with it.

    Args:
        expect: The ``head`` of an earlier verification; a history without it lost its end.
    """
    report = Report()
    heads = Heads(root, key)
    # In this order a service may go on writing meanwhile: what the heads have seen is there to be
    # read, and what is unknown or gone is looked at again.
    found = {path.relative_to(root).as_posix(): path for path in sorted(root.glob("*/*.jsonl"))}
    try:
        known = heads.known()
        digests = heads.digests()
    except LedgerError as cause:
        report.problems.append(Problem(FILE, 0, str(cause)))
        known, digests = None, []
    report.head = digests[-1] if digests else None
    if expect is not None and known is not None and expect not in digests:
        report.problems.append(
            Problem(FILE, 0, f"the noted head {expect[:12]!r} is not in it: its end was cut off")
        )
    for name, path in found.items():
        whole = path.read_bytes()
        _file(report, name, whole, key, None if known is None else known.get(name))
        unknown = known is not None and name not in known and whole.count(b"\n") > 1
        if unknown and name not in heads.known():
            report.problems.append(Problem(name, 0, "the heads don't know it: it was added"))
    for name, each in (known or {}).items():
        if each.purged:
            report.purged += 1
            if name in found:
                report.notes.append(f"{name}: a purge was stopped before it went; purge again")
        elif name not in found and not (root / name).exists():
            lines = each.lines
            report.problems.append(Problem(name, 0, f"removed; the heads had seen {lines} lines"))
    return report


def _file(report: Report, name: str, whole: bytes, key: Key, known: Known | None) -> None:
    report.files += 1
    digests = [BEGIN]
    try:
        digests += [digest for _, digest, _ in Chain(key.chain).read(whole, Path(name))]
    except LedgerError:
        report.problems.append(_broken(name, whole, key))
        return
    lines = len(digests) - 1
    report.lines += lines
    if not whole.endswith(b"\n") and whole:
        report.notes.append(f"{name}: part of a last line, which was never acknowledged")
    for count, digest in sorted(known.digests.items() if known else ()):
        if count > lines:
            what = f"cut off: it has {lines} lines, the heads had seen {count}"
            report.problems.append(Problem(name, lines + 1, what))
            return
        if digests[count] != digest:
            report.problems.append(Problem(name, count, "not the line that the heads had seen"))
            return


def _broken(name: str, whole: bytes, key: Key) -> Problem:
    """What happened at the first line that does not fit, from the numbers that the lines bear."""
    numbers = list(_numbers(whole))
    fitting = _fitting(whole, key)
    here = fitting + 1
    at = numbers[fitting] if fitting < len(numbers) else None
    if here == 1 and at == 1 and (other := _key_of(whole)) not in (None, key.id):
        return Problem(
            name, 1, f"sealed under key {other}, this is key {key.id}: give the right one"
        )
    if at is None or at == here:
        return Problem(name, here, "edited")
    if at < here:
        return Problem(name, here, f"added: a line that bears number {at}")
    absent = [number for number in range(here, at) if number not in numbers]
    if absent:
        return Problem(name, here, f"removed: {len(absent)} line(s) before the one numbered {at}")
    return Problem(name, here, f"reordered: line {at} stands in its place")


def _fitting(whole: bytes, key: Key) -> int:
    """Lines before the first that does not fit."""
    count = 0
    try:
        for _ in Chain(key.chain).read(whole, Path()):
            count += 1
    except LedgerError:
        return count
    return count


def _numbers(whole: bytes) -> Iterator[int | None]:
    for line in BytesIO(whole):
        yield _value(line).get("n")


def _key_of(whole: bytes) -> str | None:
    return _value(whole.partition(b"\n")[0]).get("key")


def _value(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
