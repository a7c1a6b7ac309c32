"""
The logs of a service: ``python -m lucency.audit verify|show|recover|purge FOLDER``.

``verify`` reads both journals, audit and labels; ``show`` prints lines of the audit log;
``recover`` writes what killed replicas left as Parquet; ``purge --older-than 90d`` deletes old days
and records that. The last line of stdout is one JSON object; exit status 0 is well, 1 is not, and 2
a command line that can't be read.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lucency.arguments import Parser
from lucency.audit import key as keys
from lucency.audit import predictions, retention
from lucency.audit.heads import FILE
from lucency.audit.labels import LABELS
from lucency.audit.predictions import AUDIT
from lucency.audit.verify import verify
from lucency.errors import LucencyError


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; gives the exit status."""
    try:
        given = _parser().parse_args(arguments)
        result = _ACTIONS[given.action](given)
    except LucencyError as error:
        print(f"error: {error}", file=sys.stderr)
        print(json.dumps({"ok": False, "error": str(error), "kind": type(error).__name__}))
        return error.exit_code
    print(json.dumps(result, default=str))
    return 0 if result["ok"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m lucency.audit", description="Check, show or purge the logs of a service."
    )
    parser.add_argument("action", choices=sorted(_ACTIONS))
    parser.add_argument("folder", type=Path, help="the service's logs.folder")
    parser.add_argument("--key", type=Path, help=f"key file; else {keys.VARIABLE} or FOLDER/.key")
    parser.add_argument("--expect", metavar="HEAD", help="verify: a head of the audit log, noted")
    parser.add_argument("--last", type=int, default=20, help="show: how many lines")
    parser.add_argument("--older-than", type=_days, metavar="90d", help="purge: at least this old")
    parser.add_argument("--only", choices=retention.LOGS, help="purge: this log alone")
    return parser


def _verify(given: argparse.Namespace) -> dict[str, Any]:
    key = keys.load(given.folder, given.key, make=False)
    roots = [name for name in (AUDIT, LABELS) if (given.folder / name).exists()]
    if AUDIT not in roots:
        return _failed(f"{str(given.folder)!r} has no {AUDIT}/{FILE}: give the logs' folder")
    problems, found = [], {}
    for name in roots:
        expect = given.expect if name == AUDIT else None
        report = verify(given.folder / name, key, expect=expect)
        problems += [f"{name}/{problem}" for problem in report.problems]
        for line in report.notes:
            print(f"note: {name}/{line}", file=sys.stderr)
        found[name] = {
            "files": report.files,
            "lines": report.lines,
            "purged": report.purged,
            "head": report.head,
        }
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return {"ok": not problems, "problems": problems, **found}


def _show(given: argparse.Namespace) -> dict[str, Any]:
    paths = sorted((given.folder / AUDIT).glob("*/*.jsonl"))
    lines = [
        value
        for path in paths[-64:]
        for value in map(json.loads, path.read_text().splitlines())
        if value.get("kind") != "begin"
    ]
    lines.sort(key=lambda value: str(value["at"]))
    for value in lines[-given.last :]:
        words = (value.get(name) for name in ("who", "what", "version", "decision", "reason", "id"))
        told = "  ".join(str(word) for word in words if word)
        print(f"{value['at']}  {value['kind']:<10}  {told}", file=sys.stderr)
    return {"ok": True, "shown": min(given.last, len(lines))}


def _recover(given: argparse.Namespace) -> dict[str, Any]:
    return {"ok": True, "parts": predictions.recover(given.folder)}


def _purge(given: argparse.Namespace) -> dict[str, Any]:
    if given.older_than is None:
        return _failed("purge needs --older-than, for example 90d")
    logs = (given.only,) if given.only else retention.LOGS
    key = keys.load(given.folder, given.key, make=False)
    return {"ok": True, **retention.purge(given.folder, key, dict.fromkeys(logs, given.older_than))}


def _failed(why: str) -> dict[str, Any]:
    print(f"error: {why}", file=sys.stderr)
    return {"ok": False, "error": why}


def _days(text: str) -> int:
    number = text.removesuffix("d")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected days such as 90d")
    return int(number)


_ACTIONS = {"verify": _verify, "show": _show, "recover": _recover, "purge": _purge}

if __name__ == "__main__":
    sys.exit(main())
