"""What a manifest names is there: in the set, in the repository, or on the list to create first."""

import ast
import re
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

ROOT = Path(__file__).parents[2]
# What k8s/README.md asks the administrator to create before anything is applied.
EXTERNAL_SECRETS = {"lucency-ray-token", "lucency-api-keys"}
EXTERNAL_STORAGE_CLASSES = {"lucency-rwx"}
DOCKERFILE_STAGE = re.compile(r"^FROM \S+ AS (\S+)$", re.MULTILINE)


def names(manifests: list[Manifest], kind: str) -> set[str]:
    """Names of all objects of a kind."""
    return {each["metadata"]["name"] for each in manifests if each["kind"] == kind}


def files_named(text: str) -> set[str]:
    """Paths below jobs/ and configs/ that a command or a config mentions."""
    return set(re.findall(r"\b(?:jobs|configs)/[\w./-]+", text))


def test_claims_exist(manifests: list[Manifest], pods: dict[str, Manifest]) -> None:
    """Each claim that a pod mounts is in the set."""
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods.values()
        for volume in pod["spec"].get("volumes", [])
        if "persistentVolumeClaim" in volume
    }

    assert claims
    assert claims <= names(manifests, "PersistentVolumeClaim")


def test_mounts_have_volumes(pods: dict[str, Manifest]) -> None:
    """Each mount names a volume of its pod: KubeRay drops a mount that does not, silently."""
    for pod in pods.values():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes


def test_service_accounts_exist(manifests: list[Manifest], pods: dict[str, Manifest]) -> None:
    """Each pod's account is in the set, for KubeRay creates none that a pod spec names."""
    used = {pod["spec"]["serviceAccountName"] for pod in pods.values()}

    assert used <= names(manifests, "ServiceAccount")


def test_external_objects_are_in_the_readme(
    manifests: list[Manifest], clusters: dict[str, Manifest], pods: dict[str, Manifest]
) -> None:
    """Secrets and storage classes from outside are the listed ones, and the README names them."""
    readme = (ROOT / "k8s" / "README.md").read_text()
    secrets = {cluster["authOptions"]["secretName"] for cluster in clusters.values()}
    secrets |= {
        volume["secret"]["secretName"]
        for pod in pods.values()
        for volume in pod["spec"].get("volumes", [])
        if "secret" in volume
    }
    classes = {
        each["spec"]["storageClassName"]
        for each in manifests
        if each["kind"] == "PersistentVolumeClaim"
    }

    assert secrets == EXTERNAL_SECRETS
    assert classes == EXTERNAL_STORAGE_CLASSES
    assert all(name in readme for name in secrets | classes)


def test_claims_can_be_shared_between_nodes(manifests: list[Manifest]) -> None:
    """The claim is ReadWriteMany: the pods that mount it run on several nodes."""
    for manifest in manifests:
        if manifest["kind"] == "PersistentVolumeClaim":
            assert manifest["spec"]["accessModes"] == ["ReadWriteMany"]


def test_images_are_targets_of_the_dockerfile(pods: dict[str, Manifest]) -> None:
    """Image lucency-x is the target x of the Dockerfile."""
    stages = set(DOCKERFILE_STAGE.findall((ROOT / "Dockerfile").read_text()))
    images = {
        container["image"].partition(":")[0]
        for pod in pods.values()
        for container in pod["spec"]["containers"]
        if "image" in container
    }

    assert images == {"lucency-serve", "lucency-train"}
    assert {image.removeprefix("lucency-") for image in images} <= stages


def test_files_in_commands_and_args_exist(service: Manifest, job: Manifest) -> None:
    """Each job and config that a command or the Serve config names is in the repository."""
    named = files_named(job["entrypoint"]) | files_named(service["serveConfigV2"])
    missing = sorted(path for path in named if not (ROOT / path).is_file())

    assert named
    assert not missing


def test_keys_of_the_command_line_are_keys_of_the_config(job: Manifest) -> None:
    """Each key=value of the entrypoint overrides a key that the config file has."""
    _, _, config, *overrides = job["entrypoint"].split()
    keys = {override.partition("=")[0] for override in overrides}

    assert keys <= set(yaml.safe_load((ROOT / config).read_text()))


def test_serve_application_is_defined_where_the_config_says(service: Manifest) -> None:
    """import_path names a file of the repository and a function that stands in it."""
    for application in yaml.safe_load(service["serveConfigV2"])["applications"]:
        module, _, attribute = application["import_path"].partition(":")
        source = ROOT / f"{module.replace('.', '/')}.py"
        assert source.is_file()
        defined = [
            node.name
            for node in ast.parse(source.read_text()).body
            if isinstance(node, ast.FunctionDef)
        ]
        assert attribute in defined
