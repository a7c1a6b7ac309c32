"""The bill of materials from a lock."""

import copy
import importlib.metadata
import importlib.resources
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from license_expression import get_spdx_licensing  # type: ignore[import-untyped]
from packageurl import PackageURL
from referencing import Registry, Resource

from lucency.errors import DataError
from lucency.release import sbom
from tests.lucency.release.conftest import LOCK

ROOT = Path(__file__).parents[3]


def test_scope_says_who_needs_it() -> None:
    """Needed by Lucency, by an extra, by development alone."""
    bill = sbom.of_lock(LOCK.encode())

    assert {each["name"]: each["scope"] for each in bill["components"]} == {
        "numpy": "required",
        "scipy": "optional",
        "not-installed-anywhere": "excluded",
    }


def test_hashes_are_the_locks() -> None:
    """What is downloaded can be held against the bill."""
    bill = sbom.of_lock(LOCK.encode())

    (numpy,) = [each for each in bill["components"] if each["name"] == "numpy"]
    (distribution,) = numpy["externalReferences"]
    assert distribution["hashes"] == [{"alg": "SHA-256", "content": "00ff"}]


def test_local_version_is_escaped() -> None:
    """A plus sign, as of a build without CUDA, has to be written otherwise in a package URL."""
    lock = LOCK.replace("1.0", "1.0+cpu")
    assert lock != LOCK

    purls = [each["purl"] for each in sbom.of_lock(lock.encode())["components"]]

    assert [PackageURL.from_string(purl).to_string() for purl in purls] == purls


def test_equal_locks_have_equal_bills() -> None:
    """The serial number follows from the lock, and another lock has another."""
    first, again = sbom.of_lock(LOCK.encode()), sbom.of_lock(LOCK.encode())
    other = sbom.of_lock((LOCK + "\n").encode())

    assert first == again
    assert first["serialNumber"] != other["serialNumber"]


def test_the_projects_own_bill_is_whole() -> None:
    """Every package of the lock is in it once, and what is needed is there."""
    lock = (ROOT / "uv.lock").read_bytes()

    bill = sbom.of_lock(lock)

    references = {each["bom-ref"] for each in bill["components"]}
    named = {need for each in bill["dependencies"] for need in each["dependsOn"]}
    assert len(references) == len(bill["components"]) == lock.count(b"[[package]]") - 1
    assert named - {bill["metadata"]["component"]["bom-ref"]} <= references
    assert all("licenses" in each for each in bill["components"] if each["name"] == "numpy")


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    """Of the project's own lock."""
    return sbom.of_lock((ROOT / "uv.lock").read_bytes())


@pytest.fixture(scope="module")
def standard() -> jsonschema.Draft7Validator:
    """The schema of CycloneDX 1.6, what it refers to beside it: nothing is fetched."""
    folder = importlib.resources.files("cyclonedx.schema") / "_res"
    names = [
        f"{name}.SNAPSHOT.schema.json"
        for name in ("bom-1.6", "cryptography-defs", "jsf-0.82", "spdx")
    ]
    schemas = {name: json.loads((folder / name).read_text()) for name in names}
    registry = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(schema))
        for name, schema in schemas.items()
    )
    return jsonschema.Draft7Validator(
        schemas[names[0]],
        registry=registry,
        format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER,
    )


def test_bill_is_one_by_the_standard(
    bill: dict[str, Any], standard: jsonschema.Draft7Validator
) -> None:
    """The project's own bill holds the schema of CycloneDX, which takes no key it does not know."""
    assert [error.message for error in standard.iter_errors(bill)] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("color", "blue"),
        ("scope", "needed"),
        ("licenses", [{"license": {"id": "No-Such-Licence"}}]),
        ("externalReferences", [{"type": "distribution", "url": "u", "hashes": [{"alg": "MD0"}]}]),
    ],
)
def test_standard_would_refuse(
    bill: dict[str, Any], standard: jsonschema.Draft7Validator, place: str, value: Any
) -> None:
    """A key of our own, a word that is not in its lists: so the test before says something."""
    wrong = copy.deepcopy({**bill, "components": bill["components"][:1]})
    wrong["components"][0][place] = value

    assert not standard.is_valid(wrong)


def test_names_and_licences_are_those_of_their_standards(bill: dict[str, Any]) -> None:
    """Package URLs are in their canonical form, licence expressions are SPDX's."""
    licensing = get_spdx_licensing()
    expressions = {
        stated["expression"]
        for each in bill["components"]
        for stated in each.get("licenses", [])
        if "expression" in stated
    }

    purls = [each["purl"] for each in bill["components"]]

    assert [PackageURL.from_string(purl).to_string() for purl in purls] == purls
    assert expressions
    for expression in expressions:
        unknown = licensing.validate(expression).invalid_symbols
        assert [name for name in unknown if not name.startswith("LicenseRef-")] == []


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        (LOCK.replace('"lucency"', '"thesis"'), "names no package 'lucency'"),
        ("[[package]", "can't be read"),
        ("version = 1", "can't be read"),
        ("\udcff", "can't be read"),
    ],
)
def test_other_lock_is_refused(lock: str, said: str) -> None:
    """Another project's, or what is no lock: what to do is told."""
    with pytest.raises(DataError, match=said):
        sbom.of_lock(lock.encode(errors="surrogateescape"))


def test_licence_is_what_the_package_states() -> None:
    """An expression is given as one; a package that is not here has none."""
    stated = importlib.metadata.metadata("numpy").get_all("License-Expression") or []

    assert sbom.licence("numpy") == {"expression": stated[0]}
    assert sbom.licence("not-installed-anywhere") is None
