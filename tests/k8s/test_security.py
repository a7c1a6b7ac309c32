"""Every pod is one that a restricted namespace admits, and every door has a name on it."""

from typing import Any

Manifest = dict[str, Any]

RESTRICTED_VOLUMES = {
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "secret",
}


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector without expressions chooses a pod with these labels."""
    assert set(selector) <= {"matchLabels"}
    return set(selector.get("matchLabels", {}).items()) <= set(labels.items())


def policies(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Network policies by name."""
    return {
        each["metadata"]["name"]: each["spec"]
        for each in manifests
        if each["kind"] == "NetworkPolicy"
    }


def test_containers_are_restricted(pods: dict[str, Manifest]) -> None:
    """Each container, the injected autoscaler among them, drops what `restricted` wants dropped."""
    for pod in pods.values():
        for container in pod["spec"]["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["runAsNonRoot"] is True
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not context.get("privileged")


def test_pods_run_as_the_user_of_the_image(pods: dict[str, Manifest]) -> None:
    """Each pod runs as user 1000, so init containers that KubeRay adds do so as well."""
    for pod in pods.values():
        context = pod["spec"]["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (1000,) * 3
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_pods_share_nothing_with_their_node(pods: dict[str, Manifest]) -> None:
    """No pod uses the node's network, processes, ports or files."""
    for pod in pods.values():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES
        for container in spec["containers"]:
            assert not any("hostPort" in port for port in container.get("ports", []))


def test_only_the_autoscaled_head_gets_an_api_token(pods: dict[str, Manifest]) -> None:
    """The Kubernetes API token is mounted where the autoscaler runs and nowhere else."""
    holders = {name for name, pod in pods.items() if pod["spec"]["automountServiceAccountToken"]}

    assert holders == {"service-head"}


def test_containers_are_bounded(pods: dict[str, Manifest]) -> None:
    """Each container has requests and limits, and memory is not promised twice."""
    for pod in pods.values():
        for container in pod["spec"]["containers"]:
            resources = container["resources"]
            assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}
            if container["name"] != "ray-job-submitter":
                assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_images_are_pinned(pods: dict[str, Manifest]) -> None:
    """Each image has a tag, and it is not `latest`."""
    for pod in pods.values():
        for container in pod["spec"]["containers"]:
            if "image" in container:
                name, _, tag = container["image"].rpartition(":")
                assert name
                assert tag != "latest"


def test_serving_cannot_change_the_store(pods: dict[str, Manifest]) -> None:
    """Pods that face requests mount the data read-only."""
    for name in ("service-head", "service-workers"):
        (ray, *_) = pods[name]["spec"]["containers"]
        (mount,) = [each for each in ray["volumeMounts"] if each["mountPath"] == "/data"]
        assert mount["readOnly"] is True


def test_keys_are_where_replicas_run_and_nowhere_else(
    service: Manifest, pods: dict[str, Manifest]
) -> None:
    """Workers alone mount the API keys, read-only and at the path that they are told."""
    holders = {
        name
        for name, pod in pods.items()
        if any("secret" in volume for volume in pod["spec"].get("volumes", []))
    }
    (worker, *_) = pods["service-workers"]["spec"]["containers"]
    (mount,) = [each for each in worker["volumeMounts"] if each["name"] == "keys"]
    (path,) = [each["value"] for each in worker["env"] if each["name"] == "LUCENCY_API_KEYS"]

    assert holders == {"service-workers"}
    assert mount["readOnly"] is True
    assert "subPath" not in mount  # such a mount never sees a change of the secret
    assert path.startswith(f"{mount['mountPath']}/")
    assert "open: true" not in service["serveConfigV2"]


def test_everything_is_closed_at_first(manifests: list[Manifest]) -> None:
    """One policy closes both directions for all pods, those to come included."""
    assert policies(manifests)["deny-all"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_policies_choose_pods_that_exist(
    manifests: list[Manifest], pods: dict[str, Manifest]
) -> None:
    """Each policy's selector matches a pod: a misspelt label would leave the door shut, or open."""
    labels = [pod["metadata"]["labels"] for pod in pods.values()]

    for name, policy in policies(manifests).items():
        assert any(matches(policy["podSelector"], each) for each in labels), name


def test_every_pod_may_reach_its_own_cluster_only(
    manifests: list[Manifest], pods: dict[str, Manifest]
) -> None:
    """Each pod is in one cluster's policy, whose only peer, in and out, is that same cluster."""
    within = [spec for name, spec in policies(manifests).items() if name.endswith("-within")]

    for pod in pods.values():
        (policy,) = [
            each for each in within if matches(each["podSelector"], pod["metadata"]["labels"])
        ]
        peers = [{"podSelector": policy["podSelector"]}]
        assert policy["ingress"] == [{"from": peers}]
        assert policy["egress"] == [{"to": peers}]


def test_predictions_are_for_clients_and_the_ingress(
    manifests: list[Manifest], pods: dict[str, Manifest]
) -> None:
    """Port 8000 opens on workers alone, to labelled clients and to the ingress controller."""
    policy = policies(manifests)["predictions"]
    chosen = {
        name
        for name, pod in pods.items()
        if matches(policy["podSelector"], pod["metadata"]["labels"])
    }
    (rule,) = policy["ingress"]
    clients, controller = rule["from"]

    assert chosen == {"service-workers"}
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert clients == {"podSelector": {"matchLabels": {"lucency.io/client": "true"}}}
    assert controller["namespaceSelector"]["matchLabels"]


def test_opened_ports_are_ports_of_a_container(
    manifests: list[Manifest], pods: dict[str, Manifest]
) -> None:
    """A port that a policy opens from outside is declared by each pod that the policy chooses."""
    for policy in policies(manifests).values():
        opened = {
            port["port"] for rule in policy.get("ingress", []) for port in rule.get("ports", [])
        }
        for pod in pods.values():
            if matches(policy["podSelector"], pod["metadata"]["labels"]):
                ports = pod["spec"]["containers"][0].get("ports", [])
                assert opened <= {port["containerPort"] for port in ports}


def test_nothing_leaves_the_cluster(manifests: list[Manifest]) -> None:
    """Each way out leads to pods, or to private addresses for the autoscaler's API calls."""
    for name, policy in policies(manifests).items():
        for rule in policy.get("egress", []):
            for peer in rule["to"]:
                private = (
                    peer.get("ipBlock", {})
                    .get("cidr", "")
                    .startswith(("10.", "172.16.", "192.168."))
                )
                assert "podSelector" in peer or (name == "autoscaler" and private)
