"""Load, quiet, explanations, memory and layouts of ``serving.py``."""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.serving_contestants import FP32, LIMIT, PEERS, Contestant, Service, Stage, Turn
from bench.serving_hosts import THROUGHPUT, Host, watch_idle
from bench.serving_load import percentile
from bench.serving_rounds import Bar, judged, parts, rounds, table

_CROWD = 16
# Of what a contestant can do at most: where a service is run.
_SHARE = 0.7
_MOST_OPEN = 64
_SAMPLES = 10
# Of memory, from that sample to the last: the first part of the prediction log, 5,000 films, loads
# what writes Parquet.
_SETTLED = 4
_MOST_GROWTH = 0.02


def load(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Requests a second in a crowd, latencies alone and at 70 % of that."""
    wanted = options.only or [LIMIT, FP32, *PEERS]
    taking: dict[str, Contestant] = {LIMIT: stage.limit()}
    if FP32 in wanted:
        taking[FP32] = _served(stage, options)
    taking |= {name: stage.peer(name) for name in PEERS if name in wanted}
    return loaded(taking, options)


def loaded(taking: Mapping[str, Contestant], options: argparse.Namespace) -> dict[str, Any]:
    """The same of contestants that are there already."""
    turns: dict[str, dict[str, list[Turn]]] = {name: {} for name in taking}
    for each in taking.values():
        each.turn(2 * _CROWD, concurrency=_CROWD)
    for number in range(options.rounds):
        if number and time.monotonic() > options.until:
            break
        for name, each in taking.items():
            crowd = each.turn(options.requests, concurrency=_CROWD)
            alone = each.turn(max(20, options.requests // 4))
            rate = _SHARE * crowd.requests / crowd.wall_s
            found = {"crowd": crowd, "alone": alone}
            if name != LIMIT:
                found["70 %"] = each.turn(options.requests, concurrency=_MOST_OPEN, rate=rate)
            for kind, turn in found.items():
                turns[name].setdefault(kind, []).append(turn)
    return _told(turns)


def _told(turns: Mapping[str, Mapping[str, Sequence[Turn]]]) -> dict[str, Any]:
    print(f"{'':<14} req/s  of limit   p50 ms alone  p99/p50: crowd  70 %   errors")
    told: dict[str, dict[str, Any]] = {}
    limit = turns[LIMIT]
    for name, found in turns.items():
        pairs = zip(found["crowd"], limit["crowd"], strict=True)
        share = statistics.median(_rate(one) / _rate(two) for one, two in pairs)
        alone = zip(found["alone"], limit["alone"], strict=True)
        told[name] = {
            "requests_per_s": round(statistics.median(map(_rate, found["crowd"])), 1),
            "of_limit": round(share, 3),
            "p50_ms_alone": round(statistics.median(map(_p50, found["alone"])), 2),
            "p50_alone_of_limit": round(statistics.median(_p50(a) / _p50(b) for a, b in alone), 3),
            "tail": {kind: round(_tail(found[kind]), 2) for kind in found if kind != "alone"},
            "errors": sum(sum(turn.errors.values()) for each in found.values() for turn in each),
        }
        row = told[name]
        print(
            f"  {name:<12} {row['requests_per_s']:5.1f}  {row['of_limit']:8.3f}   "
            f"{row['p50_ms_alone']:6.2f} ({row['p50_alone_of_limit']:.2f})  "
            f"{row['tail']['crowd']:12.2f}  {row['tail'].get('70 %', float('nan')):6.2f} "
            f"{row['errors']:6d}"
        )
    return {"load": told, "bars": _load_bars(told)}


def _load_bars(told: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    ours = told.get(FP32)
    if ours is None:
        return {}
    best = max((told[name]["requests_per_s"] for name in PEERS if name in told), default=0.0)
    bars = {
        "requests/s at 16, at least 0.95 of the limit": ours["of_limit"] >= 0.95,
        "requests/s at 16, behind no peer": ours["requests_per_s"] >= best,
        "p99 at 16, at most 3 x p50": ours["tail"]["crowd"] <= 3,
        "p50 alone, at most 1.10 x the limit's": ours["p50_alone_of_limit"] <= 1.10,
        "p99 at 70 % load, at most 3 x p50": ours["tail"]["70 %"] <= 3,
        "no errors": not ours["errors"],
    }
    for bar, reached in bars.items():
        print(f"{'reached' if reached else 'MISSED '} {bar}")
    return bars


def idle(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """What a quiet cluster takes, with the application and without one."""
    settings = _settings(options)
    (served,) = stage.cluster("ours", {FP32: {}}).values()
    hosts: list[Host] = [*served.hosts]
    hosts.append(stage.empty_cluster("no application"))
    if settings:
        (other,) = stage.cluster("ours, other", {FP32: {}}, THROUGHPUT | settings).values()
        hosts += other.hosts
    before = {host.name: host.by_process() for host in hosts}
    shares = [watch_idle(hosts, options.idle_s) for _ in range(options.rounds)]
    passed = options.rounds * options.idle_s
    found = {}
    for host in hosts:
        share = statistics.median(each[host.name] for each in shares)
        now = host.by_process()
        kinds = {
            kind: round((spent - before[host.name].get(kind, 0.0)) / passed, 4)
            for kind, spent in sorted(now.items(), key=lambda each: -each[1])
        }
        found[host.name] = {"share": round(share, 4), "by_process": kinds}
        told = ", ".join(f"{kind} {of:.1%}" for kind, of in kinds.items() if of >= 0.001)
        print(f"{host.name}: {share:.1%} of a core when idle ({told})")
    return {"idle": found}


def explain(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """The map against the probability alone."""
    taking: dict[str, Contestant] = {LIMIT: stage.limit()}
    served, asked = _served(stage, options), f"{FP32}, explained"
    taking |= {FP32: served, asked: served.asking(asked, "?explain=true")}
    results = rounds(taking, options)
    table(results, LIMIT)
    bars = judged(results, [Bar(asked, FP32, most=1.3)])
    return {**results.plain(LIMIT), "bars": bars}


def memory(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Resident memory over many requests."""
    served = _served(stage, options)
    host = served.hosts[0]
    served.turn(200, concurrency=_CROWD)
    samples = []
    for _ in range(_SAMPLES):
        turn = served.turn(options.requests // _SAMPLES, concurrency=_CROWD)
        samples.append({**host.resident_mib(), "errors": sum(turn.errors.values())})
        print({kind: round(mib, 1) for kind, mib in samples[-1].items()}, flush=True)
    growth = samples[-1]["all"] / samples[_SETTLED]["all"] - 1
    reached = growth <= _MOST_GROWTH
    print(f"{'reached' if reached else 'MISSED '} memory grew by {growth:.2%}, at most 2 %")
    return {"mib": samples, "growth": round(growth, 4), "reached": reached}


def layout(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Ours in other layouts than the shipped one, many requests at a time."""
    forms: dict[str, dict[str, Any]] = {
        FP32: {},
        "batches of up to 8": {"batching": {"max_batch_size": 8, "wait_s": 0.005}},
        "two threads": {"threads": 2},
        "two replicas": {"scaling": {"min_replicas": 2, "max_replicas": 2}},
    }
    alike = {name: {"variant": "fp32", **settings} for name, settings in forms.items()}
    taking: dict[str, Contestant] = {LIMIT: stage.limit()}
    taking |= stage.cluster("ray", _ours(alike))
    shipped = {"variant": "fp32"}
    haproxy = {**THROUGHPUT, "RAY_SERVE_THROUGHPUT_OPTIMIZED": "0"}
    taking |= stage.cluster("ray haproxy", {"ours fp32, HAProxy alone": shipped}, haproxy)
    taking |= stage.cluster("ray default", {"ours fp32, default proxy": shipped}, {})
    results = rounds(taking, options)
    table(results, FP32)
    parts(results)
    return results.plain(FP32)


def _served(stage: Stage, options: argparse.Namespace) -> Service:
    """Ours in float32, on a cluster of its own unless told otherwise."""
    if options.no_ray:
        return stage.without_ray()
    return stage.cluster("ray", {FP32: {"variant": "fp32"}})[FP32]


def _ours(forms: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {name if name == FP32 else f"{FP32}, {name}": each for name, each in forms.items()}


def _settings(options: argparse.Namespace) -> dict[str, str]:
    return dict(each.split("=", 1) for each in options.settings or [])


def _rate(turn: Turn) -> float:
    return len(turn.latencies_ms) / turn.wall_s


def _p50(turn: Turn) -> float:
    return percentile(turn.latencies_ms, 0.5)


def _tail(turns: Sequence[Turn]) -> float:
    """p99 over p50, of all rounds' answers."""
    found = [each for turn in turns for each in turn.latencies_ms]
    return percentile(found, 0.99) / percentile(found, 0.5)
