"""What every job shares: parse, call one function, report, end with an honest exit status."""

import argparse
import errno
import inspect
import json
import os
import signal
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import lucency.environment  # noqa: F401 (first: libraries read it while they are imported)
from lucency.arguments import Parser
from lucency.config.node import Node
from lucency.errors import GateRefused, LucencyError

N = TypeVar("N", bound=Node)

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A write to a full disk tells of no file.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_INTERRUPTED = {"ok": False, "error": "interrupted", "kind": "KeyboardInterrupt"}


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
    # A supervisor's SIGTERM must leave as little behind as Ctrl-C does, and a shell starts what it
    # puts in the background with SIGINT ignored.
    for each in _SIGNALS:
        signal.signal(each, _interrupt)
    try:
        known, flags = _parser(config_type, description).parse_known_args(arguments)
        overrides = known.overrides + [
            flag.removeprefix("--") + ("" if "=" in flag else "=true") for flag in flags
        ]
        result = action(config_type.from_file(known.config, overrides))
    except KeyboardInterrupt:
        _interrupted()
        sys.exit(INTERRUPTED)
    except (LucencyError, OSError) as error:
        if not _correctable(error):
            raise
        sys.exit(_failed(error))
    _finish({"ok": True, **result})
    sys.exit(0)


def _parser(config_type: type[Node], description: str) -> argparse.ArgumentParser:
    """Its help tells of the keys what their classes do."""
    kinds = [each for each in config_type.__mro__ if issubclass(each, Node) and each is not Node]
    told_of = "\n\n".join(inspect.cleandoc(each.__doc__ or "") for each in kinds)
    parser = Parser(
        description=description.strip().split("\n")[0],
        epilog=f"{told_of}\n\nKeys: {', '.join(config_type.model_fields)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, help="YAML file, for example under configs/")
    told = "changes to the file; --key is key=true"
    parser.add_argument("overrides", nargs="*", default=[], metavar="a.b=c", help=told)
    return parser


def _correctable(error: LucencyError | OSError) -> bool:
    """Our own errors, and what the system refuses: a file, a folder, room on a disk."""
    if isinstance(error, LucencyError):
        return True
    return error.filename is not None or error.errno in _FULL


def _failed(error: LucencyError | OSError) -> int:
    told = str(error) if isinstance(error, LucencyError) else _refusal(error)
    for line in told.splitlines():
        print(f"error: {line}", file=sys.stderr)
    figures = error.figures if isinstance(error, GateRefused) else {}
    _finish({"ok": False, "error": told, "kind": type(error).__name__, **figures})
    return error.exit_code if isinstance(error, LucencyError) else LucencyError.exit_code


def _refusal(error: OSError) -> str:
    where = "" if error.filename is None else f"{str(error.filename)!r}: "
    return f"{where}{error.strerror}"


def _interrupted() -> None:
    print("interrupted: what was finished is kept, run it again to go on", file=sys.stderr)
    _finish(_INTERRUPTED)


def _finish(result: Mapping[str, Any]) -> None:
    print(json.dumps(result, default=str), flush=True)


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    """The first one ends the job in order, which takes seconds; impatience must not undo that."""
    for each in _SIGNALS:
        signal.signal(each, _again)
    raise KeyboardInterrupt


def _again(number: int, frame: types.FrameType | None) -> None:
    print("still ending; once more breaks off, and may leave processes behind", file=sys.stderr)
    for each in _SIGNALS:
        signal.signal(each, _interrupt)


def _last_words(
    kind: type[BaseException], error: BaseException, where: types.TracebackType | None
) -> None:
    """What nobody caught: Ctrl-C while a job is still being imported, and our own mistakes."""
    if issubclass(kind, KeyboardInterrupt):
        _interrupted()
        sys.stderr.flush()
        # Python would go on to kill itself with SIGINT, which a supervisor reads as a crash.
        os._exit(INTERRUPTED)
    traceback.print_exception(kind, error, where)
    _finish({"ok": False, "error": f"{kind.__name__}: {error}", "kind": kind.__name__})


sys.excepthook = _last_words
