"""
What logging costs a request: group commit against one sync a line, and against the disk itself.

    python bench/logs.py [FOLDER]

Lines are those of real answers. CPU is of the whole process, the median of rounds that take turns;
the sync itself is the kernel's and the disk's time, which the wall clock shows.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lucency.audit.journal import Journal, now, stamp
from lucency.audit.key import Key
from lucency.audit.predictions import AUDIT, PREDICTION, Roller
from lucency.audit.writer import Writer
from lucency.ledger import Ledger

KEY = Key(b"a secret for the bench")
AT_A_TIME = 16
REQUESTS = 4000
ROUNDS = 5
FILM = os.urandom(300_000)


def line() -> dict[str, Any]:
    """One answer as the recorder writes it, without the film's hash."""
    return {
        **{"kind": PREDICTION, "at": stamp(now()), "who": "key:ward-3", "what": "/v1/predict"},
        **{"site": "", "model": "pneumonia", "version": "466bb8153db9", "variant": "fp32"},
        **{"film": "0" * 64, "id": str(uuid.uuid4()), "label": "PNEUMONIA", "probability": 0.91234},
        **{"decision": "positive", "reason": "clear", "decode_ms": 3.214, "infer_ms": 7.51},
    }


def grouped(folder: Path, requests: int, at_a_time: int, *, durable: bool) -> None:
    """Requests that each wait for the disk, so many at a time; with the columns."""
    roller = Roller(folder)
    writer = Writer(Journal(folder / AUDIT, KEY, uuid.uuid4().hex), written=roller.add)

    async def client(count: int) -> None:
        for _ in range(count):
            if durable:
                await writer.commit(line())
            else:
                writer.put(line())

    async def all_of_them() -> None:
        await asyncio.gather(*(client(requests // at_a_time) for _ in range(at_a_time)))

    asyncio.run(all_of_them())
    writer.close()
    roller.roll()


def bare(folder: Path, requests: int) -> None:
    """What the disk can do: a line, a sync, and nothing else."""
    data = json.dumps(line()).encode() + b"\n"
    descriptor = os.open(folder / uuid.uuid4().hex, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(requests):
        os.write(descriptor, data)
        os.fdatasync(descriptor)
    os.close(descriptor)


def ledger(folder: Path, requests: int) -> None:
    """The ledger of rare records, which reads itself at each append."""
    record = Ledger(folder / uuid.uuid4().hex)
    for _ in range(requests):
        record.append(line())


def hashed(requests: int) -> None:
    """What the recorder adds: the film's keyed hash."""
    for _ in range(requests):
        KEY.film(FILM)


def main() -> None:
    """Measure every way in turns, and print one JSON object."""
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=given) as name:
        folder = Path(name)
        ways: dict[str, tuple[int, Callable[[int], None]]] = {
            "group commit, 16 at a time": (
                REQUESTS,
                lambda n: grouped(folder, n, AT_A_TIME, durable=True),
            ),
            "one at a time": (REQUESTS // 8, lambda n: grouped(folder, n, 1, durable=True)),
            "not durable": (REQUESTS, lambda n: grouped(folder, n, AT_A_TIME, durable=False)),
            "line and sync, bare": (REQUESTS // 8, lambda n: bare(folder, n)),
            "ledger": (REQUESTS // 20, lambda n: ledger(folder, n)),
            "hash of a 300 kB film": (REQUESTS // 8, hashed),
        }
        cpu: dict[str, list[float]] = {way: [] for way in ways}
        wall: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, (requests, run) in ways.items():
                began, busy = time.perf_counter(), time.process_time()
                run(requests)
                cpu[way].append((time.process_time() - busy) / requests * 1e6)
                wall[way].append(requests / (time.perf_counter() - began))
        found = {
            way: {
                "cpu_us_a_request": round(statistics.median(cpu[way]), 1),
                "requests_a_s": round(statistics.median(wall[way])),
            }
            for way in ways
        }
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
