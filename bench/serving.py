"""
What a request costs and how fast it is answered: ours, its peers, and the loop without HTTP.

    python bench/serving.py all         the first four below and maps, one set of servers
    python bench/serving.py cost        CPU time a request: the limit, ours, peers, a tutorial's app
    python bench/serving.py framework   the same with a network that answers at once
    python bench/serving.py load        requests a second, latencies, alone and under load
    python bench/serving.py idle        what a quiet application takes
    python bench/serving.py explain     the map against the probability alone
    python bench/serving.py memory      resident memory over many requests
    python bench/serving.py layout      batches, threads, replicas, proxies of ours

ResNet18 at 224 px, drawn films of 1000 x 800 px and about 115 kB. Counted is user and system time
of all processes of a server, Ray's included, less what they take when idle; the load comes from a
process that is not counted. Ours has keys, validation, audit log and metrics on, as shipped; peers
have none of it, and the best decoder that we know. Contestants take turns in rounds, a ratio is the
median over the rounds. The network is trained for minutes on drawn films on the first call, so that
its variants pass; peers are installed into an environment of their own. The last line is JSON.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import serving_model
from bench import serving_modes
from bench.serving_contestants import (
    AT_ONCE,
    BF16,
    DEFAULT_PROXY,
    FP32,
    INT8,
    LIMIT,
    PEERS,
    TUTORIAL,
    WITHOUT_RAY,
    Contestant,
    Stage,
)
from bench.serving_hosts import ROOT, THROUGHPUT
from bench.serving_rounds import Bar, judged, parts, rounds, table

_WORK = ROOT / "work" / "bench" / "serving"
_FRAMEWORK_MS = 1.0
_COST = (
    Bar(FP32, LIMIT, most=1.05),
    Bar(BF16, LIMIT, most=0.60),
    Bar(INT8, LIMIT, most=0.38),
    Bar(TUTORIAL, BF16, least=6),
    Bar(TUTORIAL, INT8, least=9),
)


def main() -> None:
    """Measure, print tables and bars for people, one JSON line for programs."""
    options = _parser().parse_args()
    options.until = time.monotonic() + options.seconds
    for name in ("workers", "concurrency", "requests"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(MODES[options.mode], name))
    # As Ctrl-C: what was started is ended.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    print(f"load average before: {os.getloadavg()[0]:.1f}", flush=True)
    with contextlib.ExitStack() as exits:
        stage = _stage(options, exits)
        found = MODES[options.mode].run(stage, options)
    print(f"load average after: {os.getloadavg()[0]:.1f}")
    print(json.dumps({"mode": options.mode, **found}))


def cost(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """CPU time a request, and the bars on it."""
    taking = _all(stage, options)
    found = rounds(taking, options)
    table(found, LIMIT)
    parts(found)
    return {**found.plain(LIMIT), "bars": judged(found, _COST)}


def framework(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """What is left when the network answers at once: each less the loop on the same films."""
    taking = _all(stage, options)
    found = rounds(taking, options)
    table(found, LIMIT)
    parts(found)
    shares = {name: round(found.ms(name) - found.ms(LIMIT), 3) for name in taking}
    for name, share in shares.items():
        print(f"  {name:<28} {share:7.3f} ms of framework")
    told = {**found.plain(LIMIT), "framework_ms": shares}
    if FP32 in shares:
        told["reached"] = shares[FP32] <= _FRAMEWORK_MS
        said = "reached" if told["reached"] else "MISSED "
        print(f"{said} framework of ours: {shares[FP32]} ms, at most {_FRAMEWORK_MS}")
    return told


def everything(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """What can share its servers, in one run: cost, framework, maps, load."""
    ours = _ours(stage)
    at_once = stage.beside(serving_model.store(_WORK, "tiny"))
    tiny = f"ours{AT_ONCE}"
    taking: dict[str, Contestant] = {
        LIMIT: stage.limit(),
        LIMIT + AT_ONCE: at_once.limit(suffix=AT_ONCE),
    }
    found = stage.cluster("ray", {**ours, tiny: {"store": str(at_once.store)}})
    taking |= found
    explained = f"{FP32}, explained"
    taking[explained] = found[FP32].asking(explained, "?explain=true")
    taking |= stage.cluster("ray default", {DEFAULT_PROXY: ours[FP32], TUTORIAL: {}}, {})
    taking |= {name: stage.peer(name) for name in PEERS}
    taking["FastAPI" + AT_ONCE] = at_once.peer("FastAPI", AT_ONCE)
    results = rounds(taking, options)
    table(results, LIMIT)
    parts(results)
    told = judged(results, [*_COST, Bar(explained, FP32, most=1.3)])
    shares = {
        name: round(results.ms(name) - results.ms(LIMIT + AT_ONCE), 3)
        for name in (tiny, "FastAPI" + AT_ONCE)
    }
    print(f"framework, ms: {shares}; ours at most {_FRAMEWORK_MS}")
    crowd = {name: taking[name] for name in (LIMIT, FP32, *PEERS)}
    options.rounds, options.until = 2, options.until + options.seconds / 3
    return {
        **results.plain(LIMIT),
        "bars": told,
        "framework_ms": shares,
        **serving_modes.loaded(crowd, options),
    }


def _all(stage: Stage, options: argparse.Namespace) -> dict[str, Contestant]:
    """Everybody whom ``--only`` leaves in."""
    forms = [WITHOUT_RAY, DEFAULT_PROXY, TUTORIAL]
    wanted = options.only or [LIMIT, *_loops(stage), *_ours(stage), *forms, *PEERS]
    taking: dict[str, Contestant] = {}
    if LIMIT in wanted:
        taking[LIMIT] = stage.limit()
    taking |= {
        name: stage.limit(variant) for name, variant in _loops(stage).items() if name in wanted
    }
    if ours := {name: each for name, each in _ours(stage).items() if name in wanted}:
        taking |= stage.cluster("ray", ours)
    plain = {DEFAULT_PROXY: {"variant": "fp32"}, TUTORIAL: {}}
    if default := {name: each for name, each in plain.items() if name in wanted}:
        taking |= stage.cluster("ray default", default, {})
    if WITHOUT_RAY in wanted:
        taking[WITHOUT_RAY] = stage.without_ray()
    if options.settings:
        settings = dict(each.split("=", 1) for each in options.settings)
        name = f"{FP32}, {' '.join(options.settings)}"
        taking |= stage.cluster("ray other", {name: _ours(stage)[FP32]}, THROUGHPUT | settings)
    taking |= {name: stage.peer(name) for name in PEERS if name in wanted}
    return taking


def _ours(stage: Stage) -> dict[str, dict[str, Any]]:
    found = {FP32: {"variant": "fp32"}}
    for name, precision in ((BF16, "bf16"), (INT8, "int8")):
        if precision in stage.variants:
            found[name] = {"variant": stage.variants[precision]}
    return found


def _loops(stage: Stage) -> dict[str, str]:
    variants = {"fp32": "fp32", **stage.variants}
    return {f"loop, {precision}": variant for precision, variant in variants.items()}


def _stage(options: argparse.Namespace, exits: contextlib.ExitStack) -> Stage:
    # Unix sockets take 107 bytes, so the folder's name must be short.
    folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="lb")))
    films = []
    for number, film in enumerate(serving_model.films()):
        films.append(folder / f"{number}.jpeg")
        films[-1].write_bytes(film)
    store = serving_model.store(_WORK, MODES[options.mode].model)
    service = json.loads(options.service)
    return Stage(folder, store, films, workers=options.workers, service=service, exits=exits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, help="of a contestant in a round")
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--workers", type=int, help="replicas or processes of each")
    parser.add_argument("--seconds", type=float, default=600, help="no round begins later")
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--no-ray", action="store_true", help="load, explain, memory: without it")
    parser.add_argument("--settings", nargs="*", help="NAME=VALUE: a cluster more, so started")
    parser.add_argument("--service", default="{}", help="JSON: settings of ours over those shipped")
    parser.add_argument("--idle-s", type=float, default=4.0, help="quiet seconds in each round")
    return parser


@dataclass(frozen=True)
class Mode:
    """What is run, and what it takes where the command line says nothing."""

    run: Callable[[Stage, argparse.Namespace], dict[str, Any]]
    model: str = "resnet18"
    workers: int = 1
    concurrency: int = 2
    requests: int = 100


MODES = {
    "all": Mode(everything, requests=50),
    "cost": Mode(cost),
    "framework": Mode(framework, model="tiny", requests=300),
    "load": Mode(serving_modes.load, workers=2, requests=300),
    "idle": Mode(serving_modes.idle),
    "explain": Mode(serving_modes.explain),
    "memory": Mode(serving_modes.memory, model="tiny", requests=20_000),
    "layout": Mode(serving_modes.layout, concurrency=8),
}


if __name__ == "__main__":
    main()
