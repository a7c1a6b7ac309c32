"""
Two replicas' metrics through the exporter of Ray's node agent, on a port of loopback.

    python tests/k8s/exporter.py PORT

A process of its own: Ray's recorder takes the process-wide registry for itself.
"""

import sys
import time

import numpy as np
from prometheus_client import CollectorRegistry, start_http_server
from ray._private.telemetry.open_telemetry_metric_recorder import OpenTelemetryMetricRecorder

from lucency.drift import reference as drift
from lucency.drift.window import Window
from serve.exporters import PlainBackend, samples
from serve.telemetry import Telemetry


class Replica:
    """One replica that answers films with one model."""

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng(number)
        self.tags = {"WorkerId": str(number), "replica": f"lucency#classifier#{number}"}
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(PlainBackend(self.registry), "v1")
        films = {name: rng.normal(size=200) for name in drift.FEATURES}
        self.window = Window(drift.fit(films), 100, rng=rng)
        for place in range(120):
            film = {name: float(values[place]) for name, values in films.items()}
            self.window.add(film)

    def work(self) -> None:
        """Move every metric once."""
        telemetry = self.telemetry
        for status in (200, 500):
            telemetry.request("/v1/predict", status, 0.1)
        for stage in ("decode", "infer"):
            telemetry.stage(stage, 0.02)
        telemetry.in_flight(1)
        telemetry.batch(4)
        telemetry.prediction("positive")
        telemetry.score(0.7, "several_labels")
        telemetry.refusal("truncated")
        telemetry.warning("inverted")
        telemetry.drift(self.window.state())
        telemetry.drift_alarm("brightness")
        telemetry.sensitivity(0.96, 0.93, 0.98, floor=0.95, labels=200)
        telemetry.log(healthy=True, errors=1)
        telemetry.rollout(1, 0.1)
        telemetry.rollback()


def main(port: int) -> None:
    """Serve until the process is ended."""
    recorder = OpenTelemetryMetricRecorder(gauge_metric_ttl_seconds=20)
    replicas = [Replica(1), Replica(2)]
    start_http_server(port, "127.0.0.1")
    while True:
        for replica in replicas:
            replica.work()
            for sample in samples(replica.registry):
                recorder.register_gauge_metric(sample.name, sample.text)
                recorder.set_metric_value(
                    sample.name, {**sample.labels, **replica.tags}, sample.value
                )
        time.sleep(0.3)


if __name__ == "__main__":
    main(int(sys.argv[1]))
