"""What KubeRay 1.7 refuses, or reads in a surprising way, though its schema lets it pass."""

import re
from typing import Any

import pytest

Manifest = dict[str, Any]

LONGEST_NAME = {"RayCluster": 53, "RayJob": 47, "RayService": 47, "RayCronJob": 36}
RESOURCE_PARAMS = {"num-cpus", "num-gpus", "memory", "resources"}
BYTES = {"Mi": 2**20, "Gi": 2**30}


def groups_of(cluster: Manifest) -> list[Manifest]:
    """Head and worker groups alike."""
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def size(quantity: str) -> int:
    """Bytes of a quantity such as 512Mi."""
    return int(quantity[:-2]) * BYTES[quantity[-2:]]


def test_names_leave_room_for_what_the_operator_appends(manifests: list[Manifest]) -> None:
    """Names are DNS-1035 labels, short enough for the suffixes of the operator's own objects."""
    for manifest in manifests:
        if manifest["kind"] in LONGEST_NAME:
            name = manifest["metadata"]["name"]
            assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
            assert len(name) <= LONGEST_NAME[manifest["kind"]]


def test_worker_groups_are_bounded(clusters: dict[str, Manifest]) -> None:
    """Each worker group says 0 <= minimum <= replicas <= maximum."""
    for cluster in clusters.values():
        for group in cluster["workerGroupSpecs"]:
            assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_a_group_without_autoscaler_has_a_fixed_size(clusters: dict[str, Manifest]) -> None:
    """A range of replicas appears only where an autoscaler can move within it."""
    for cluster in clusters.values():
        if not cluster.get("enableInTreeAutoscaling"):
            for group in cluster["workerGroupSpecs"]:
                assert group["minReplicas"] == group["maxReplicas"]


def test_resources_of_a_group_are_said_in_one_place(clusters: dict[str, Manifest]) -> None:
    """A group never has both `resources` and resources among its start parameters."""
    for cluster in clusters.values():
        for group in groups_of(cluster):
            in_params = RESOURCE_PARAMS & set(group["rayStartParams"])
            assert not (in_params and group.get("resources"))
            assert "labels" not in group["rayStartParams"]


def test_every_cluster_asks_for_a_token(clusters: dict[str, Manifest]) -> None:
    """Token authentication is on, in a Ray that has it, and is not of the per-user kind."""
    for cluster in clusters.values():
        major, minor, _ = map(int, cluster["rayVersion"].split("."))

        assert cluster["authOptions"]["mode"] == "token"
        assert (major, minor) >= (2, 52)
        assert "enableK8sTokenAuth" not in cluster["authOptions"]


def test_autoscaler_v2_restarts_no_container(clusters: dict[str, Manifest]) -> None:
    """With autoscaler v2 the restart policy is Never or unset, and no variable contradicts it."""
    for cluster in clusters.values():
        if cluster.get("autoscalerOptions", {}).get("version") == "v2":
            for group in groups_of(cluster):
                spec = group["template"]["spec"]
                names = {each["name"] for each in spec["containers"][0]["env"]}
                assert spec.get("restartPolicy", "Never") == "Never"
                assert "RAY_enable_autoscaler_v2" not in names
                assert not group.get("suspend")


def test_fault_tolerance_is_not_half_configured(clusters: dict[str, Manifest]) -> None:
    """No Redis setting stands outside gcsFaultToleranceOptions."""
    for cluster in clusters.values():
        for group in groups_of(cluster):
            env = group["template"]["spec"]["containers"][0]["env"]
            annotations = group["template"]["metadata"].get("annotations", {})
            assert not {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD"} & {each["name"] for each in env}
            assert "ray.io/ft-enabled" not in annotations
            assert not [key for key in group["rayStartParams"] if "redis" in key]


def test_object_store_fits_its_memory(clusters: dict[str, Manifest]) -> None:
    """Object store <= /dev/shm <= the container's limit: beyond it Ray falls back to slow disk."""
    for cluster in clusters.values():
        for group in groups_of(cluster):
            spec = group["template"]["spec"]
            (shm,) = [each["emptyDir"] for each in spec["volumes"] if each["name"] == "shm"]
            (mount,) = [
                each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "shm"
            ]
            limit = size(spec["containers"][0]["resources"]["limits"]["memory"])

            assert (shm["medium"], mount["mountPath"]) == ("Memory", "/dev/shm")
            assert int(group["rayStartParams"]["object-store-memory"]) <= size(shm["sizeLimit"])
            assert size(shm["sizeLimit"]) <= limit / 2


def test_head_runs_no_work(clusters: dict[str, Manifest]) -> None:
    """The head has no CPU to give: a replica that eats memory cannot take the cluster along."""
    for cluster in clusters.values():
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_service_keeps_traffic_off_the_head(service: Manifest) -> None:
    """The Serve service leads to workers only, and the head service keeps its own name."""
    head = service["rayClusterConfig"]["headGroupSpec"]

    assert service["excludeHeadPodFromServeSvc"]
    assert service["upgradeStrategy"]["type"] in {"NewCluster", "None"}
    assert "name" not in head.get("headService", {}).get("metadata", {})


def test_job_ends_by_itself(job: Manifest) -> None:
    """A job has a deadline, and its time to live counts because the cluster is shut down."""
    assert job["shutdownAfterJobFinishes"]
    assert job["ttlSecondsAfterFinished"] >= 0
    assert job["activeDeadlineSeconds"] > 0
    assert job["preRunningDeadlineSeconds"] >= 1
    assert "deletionStrategy" not in job


def test_job_is_submitted_one_way(job: Manifest) -> None:
    """The job brings its own cluster, and no field contradicts the mode of its submission."""
    assert "clusterSelector" not in job
    assert job["submissionMode"] == "K8sJobMode"
    assert "command" not in job["submitterPodTemplate"]["spec"]["containers"][0]
    assert job["submitterPodTemplate"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", ["HA_PROXY", "THROUGHPUT_OPTIMIZED", "HAPROXY_TCP_NODELAY"])
def test_serve_flags_reach_every_node(service: Manifest, name: str) -> None:
    """Head and workers start Ray with the same Serve environment: half a switch is none."""
    environments = [
        group["template"]["spec"]["containers"][0]["env"]
        for group in groups_of(service["rayClusterConfig"])
    ]

    assert all(environment == environments[0] for environment in environments)
    assert any(each["name"].endswith(name) and each["value"] == "1" for each in environments[0])
