"""The bill of materials from a lock."""

import importlib.metadata
from pathlib import Path

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


def test_licence_is_what_the_package_states() -> None:
    """An expression is given as one; a package that is not here has none."""
    stated = importlib.metadata.metadata("numpy").get_all("License-Expression") or []

    assert sbom.licence("numpy") == {"expression": stated[0]}
    assert sbom.licence("not-installed-anywhere") is None
