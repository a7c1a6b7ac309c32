"""Every object is one that the API server and the operator know, field by field."""

from typing import Any

import pytest

jsonschema = pytest.importorskip("jsonschema")

Manifest = dict[str, Any]


def test_every_object_has_only_known_fields(
    manifests: list[Manifest], schemas: dict[str, Manifest]
) -> None:
    """Each rendered object passes the strict schema of its kind, unknown fields being errors."""
    problems = []
    for manifest in manifests:
        group, _, version = manifest["apiVersion"].rpartition("/")
        name = f"{manifest['kind'].lower()}-{group.split('.')[0] or 'core'}-{version}"
        for error in jsonschema.Draft202012Validator(schemas[name]).iter_errors(manifest):
            problems.append(
                f"{name} {manifest['metadata']['name']} {error.json_path}: {error.message}"
            )

    assert not problems


def test_names_are_unique_within_a_kind(manifests: list[Manifest]) -> None:
    """No object overwrites another of the same kind when both folders are applied."""
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]

    assert len(names) == len(set(names))


def test_every_object_is_in_the_restricted_namespace(manifests: list[Manifest]) -> None:
    """Nothing lands in a namespace that does not enforce the restricted Pod Security standard."""
    (namespace,) = [each["metadata"] for each in manifests if each["kind"] == "Namespace"]
    others = [each["metadata"] for each in manifests if each["kind"] != "Namespace"]

    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {metadata["namespace"] for metadata in others} == {namespace["name"]}
