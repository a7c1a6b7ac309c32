"""
The limit of ``serving.py``: films answered in a loop, without HTTP, asked for over stdin.

    echo '{"films": 100}' | python bench/serving_limit.py bare|BUNDLE:VARIANT FILM...
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.peers.serve_loop import Loop
from lucency.bundle.predictor import Predictor


def _predictor(bundle: str, variant: str) -> Callable[[bytes], float]:
    predictor = Predictor(Path(bundle), variant=variant)
    return lambda film: predictor.predict_bytes(film).logits[0]


def main() -> None:
    """Answer every line of stdin with one of JSON."""
    what, *paths = sys.argv[1:]
    bundle, _, variant = what.rpartition(":")
    classify = _predictor(bundle, variant) if bundle else Loop()
    films = [Path(path).read_bytes() for path in paths]
    first = classify(films[0])
    for line in sys.stdin:
        latencies_ms = []
        for number in range(json.loads(line)["films"]):
            began = time.perf_counter()
            classify(films[number % len(films)])
            latencies_ms.append(1e3 * (time.perf_counter() - began))
        print(json.dumps({"latencies_ms": latencies_ms, "logit": first}), flush=True)


if __name__ == "__main__":
    main()
