"""What every job shares: parse, call one function, report, end with an honest exit status."""

import argparse
import json
import signal
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import lucency.environment  # noqa: F401 (first: libraries read it while they are imported)
from lucency.config.node import Node
from lucency.errors import GateRefused, LucencyError

N = TypeVar("N", bound=Node)

INTERRUPTED = 130


def run(
    config_type: type[N],
    action: Callable[[N], Mapping[str, Any]],
    description: str,
    arguments: list[str] | None = None,
) -> NoReturn:
    """
    Run one job and leave the process.

    The last line of stdout is one JSON object, ``{"ok": true, ...}`` or ``{"ok": false,
    "error": ...}``; everything for people goes to stderr. Exit status: 0 done, 1 failed,
    2 wrong configuration, 3 refused by the gate, 130 interrupted.
    """
    parser = argparse.ArgumentParser(description=description.strip().split("\n")[0])
    parser.add_argument("config", type=Path, help="YAML file, for example under configs/")
    parser.add_argument(
        "overrides", nargs="*", metavar="a.b=c", help="changes to the file; --key is key=true"
    )
    known, flags = parser.parse_known_args(arguments)
    overrides = known.overrides + [
        flag.removeprefix("--") + ("" if "=" in flag else "=true") for flag in flags
    ]
    # A supervisor's SIGTERM must leave as little behind as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell starts what it puts in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        result = action(config_type.from_file(known.config, overrides))
    except LucencyError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        figures = error.figures if isinstance(error, GateRefused) else {}
        _finish({"ok": False, "error": str(error), "kind": type(error).__name__, **figures})
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept, run it again to go on", file=sys.stderr)
        _finish({"ok": False, "error": "interrupted", "kind": "KeyboardInterrupt"})
        sys.exit(INTERRUPTED)
    _finish({"ok": True, **result})
    sys.exit(0)


def _finish(result: Mapping[str, Any]) -> None:
    print(json.dumps(result, default=str), flush=True)


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt
