"""The Serve config inside the RayService is one that Serve runs as it is written."""

from typing import Any

import pytest
import yaml
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from lucency.config.serve import ServeConfig
from serve.lint import invalid_values, lint, unknown_keys

Manifest = dict[str, Any]


@pytest.fixture
def config(service: Manifest) -> Manifest:
    """The parsed serveConfigV2."""
    return dict(yaml.safe_load(service["serveConfigV2"]))


@pytest.fixture
def application(config: Manifest) -> Manifest:
    """The one application of the config."""
    (found,) = config["applications"]
    return dict(found)


def test_ray_reads_it(config: Manifest) -> None:
    """Ray's schema accepts the config and has no key that it would ignore."""
    ServeDeploySchema.model_validate(config)

    assert [*unknown_keys(config, ServeDeploySchema)] == []


def test_lint_finds_nothing(config: Manifest) -> None:
    """With the application imported and built, its args and deployments are the right ones."""
    assert lint(config) == []


def test_scaling_is_what_ray_accepts(application: Manifest) -> None:
    """The application's own scaling makes an AutoscalingConfig, with two replicas at least."""
    scaling = application["args"]["scaling"]
    autoscaling = {key: scaling[key] for key in scaling if key in AutoscalingConfig.model_fields}

    assert [*invalid_values(autoscaling, AutoscalingConfig)] == []
    assert scaling["min_replicas"] >= 2
    told = ServeConfig.model_validate(application["args"])
    assert scaling["max_ongoing_requests"] > told.batching.max_batch_size


def test_all_replicas_fit(application: Manifest, service: Manifest) -> None:
    """The most replicas of the application fit into the most workers of the cluster."""
    (deployment,) = application["deployments"]
    (group,) = service["rayClusterConfig"]["workerGroupSpecs"]
    cpus = group["maxReplicas"] * int(group["rayStartParams"]["num-cpus"])

    wanted = application["args"]["scaling"]["max_replicas"]
    assert wanted * deployment["ray_actor_options"]["num_cpus"] <= cpus


def test_threads_are_paid_for(application: Manifest) -> None:
    """A replica computes with as many threads as it reserves CPUs."""
    (deployment,) = application["deployments"]

    assert application["args"]["threads"] == deployment["ray_actor_options"]["num_cpus"]


def test_port_is_the_one_that_pods_open(config: Manifest, pods: dict[str, Manifest]) -> None:
    """Serve listens on all interfaces of the port that the workers declare as `serve`."""
    (worker, *_) = pods["service-workers"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in worker["ports"]}

    assert config["http_options"]["host"] == "0.0.0.0"
    assert config["http_options"]["port"] == ports["serve"]


def test_requests_and_logs_are_bounded_and_readable(config: Manifest) -> None:
    """A request has a time limit, logs are JSON, and each node with a replica takes requests."""
    assert 0 < config["http_options"]["request_timeout_s"] <= 60
    assert config["logging_config"]["encoding"] == "JSON"
    assert config["proxy_location"] == "EveryNode"


def test_store_is_on_the_mounted_volume(
    application: Manifest, job: Manifest, pods: dict[str, Manifest]
) -> None:
    """The service reads the store that the pipeline writes, below a mount that both have."""
    overrides = dict(word.split("=", 1) for word in job["entrypoint"].split() if "=" in word)

    assert overrides["store"] == application["args"]["store"]
    for name in ("service-workers", "pipeline-workers"):
        mounts = [each["mountPath"] for each in pods[name]["spec"]["containers"][0]["volumeMounts"]]
        assert any(overrides["store"].startswith(f"{mount}/") for mount in mounts)
        assert any(overrides["work"].startswith(f"{mount}/") for mount in mounts)
