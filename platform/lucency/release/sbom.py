"""
``uv.lock`` -> a software bill of materials, CycloneDX 1.6.

Made from the lock alone, so that no scanner has to live in the environment; licences are those that
the installed packages state. No time and no random number: equal locks have equal bills.
"""

import importlib.metadata
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from lucency import files
from lucency.errors import DataError

Package = Mapping[str, Any]

_OURS = "lucency"
_LONGEST = 100


def of_lock(lock: bytes) -> dict[str, Any]:
    """
    The bill of every package that a lock names, with what needs what.

    A component is ``required`` where Lucency itself needs it, ``optional`` where one of its
    extras does, ``excluded`` where only development does.

    Raises:
        DataError: it is no lock, or another project's.
    """
    digest = files.sha256(lock)
    packages = _packages(lock)
    own = next((package for package in packages if package["name"] == _OURS), None)
    if own is None:
        raise DataError(f"the lock names no package {_OURS!r}: it is another project's, give root")
    required = _reached(packages, own.get("dependencies", []))
    extras = [one for extra in own.get("optional-dependencies", {}).values() for one in extra]
    optional = _reached(packages, extras)
    others = sorted((each for each in packages if each is not own), key=_reference)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": _reference(own),
                "name": _OURS,
                "version": _version(own),
            },
            "properties": [{"name": "lucency:lock_digest", "value": digest}],
        },
        "components": [_component(each, required, optional) for each in others],
        "dependencies": [_needs(packages, each) for each in (own, *others)],
    }


def _packages(lock: bytes) -> list[Package]:
    try:
        found: list[Package] = tomllib.loads(lock.decode())["package"]
    except (ValueError, KeyError) as cause:
        raise DataError(f"the lock can't be read ({cause}): write it again with uv lock") from cause
    return found


def licence(name: str) -> dict[str, Any] | None:
    """What an installed package states, as CycloneDX has it; None where it is not here."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if expressions := metadata.get_all("License-Expression"):
        return {"expression": expressions[0]}
    classifiers = metadata.get_all("Classifier") or []
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    stated = "".join((metadata.get_all("License") or [])[:1])
    # Some packages put the whole text there; a name is one short line.
    if not named and stated and "\n" not in stated and len(stated) <= _LONGEST:
        named = [stated]
    return {"license": {"name": "; ".join(named)}} if named else None


def _component(package: Package, required: set[str], optional: set[str]) -> dict[str, Any]:
    reference = _reference(package)
    scope = "required" if reference in required else "optional"
    stated = licence(package["name"])
    distributions = [_distribution(each) for each in _artefacts(package)]
    return {
        "type": "library",
        "bom-ref": reference,
        "purl": reference,
        "name": package["name"],
        "version": _version(package),
        "scope": scope if reference in required | optional else "excluded",
        **({"licenses": [stated]} if stated else {}),
        **({"externalReferences": distributions} if distributions else {}),
    }


def _artefacts(package: Package) -> Iterator[Mapping[str, Any]]:
    if "sdist" in package:
        yield package["sdist"]
    yield from package.get("wheels", [])


def _distribution(artefact: Mapping[str, Any]) -> dict[str, Any]:
    algorithm, _, content = artefact["hash"].partition(":")
    assert algorithm == "sha256", "uv writes no other"
    return {
        "type": "distribution",
        "url": artefact["url"],
        "hashes": [{"alg": "SHA-256", "content": content}],
    }


def _needs(packages: Sequence[Package], package: Package) -> dict[str, Any]:
    wanted = [
        *package.get("dependencies", []),
        *(one for extra in package.get("optional-dependencies", {}).values() for one in extra),
    ]
    return {"ref": _reference(package), "dependsOn": sorted(set(_named(packages, wanted)))}


def _reached(packages: Sequence[Package], wanted: Iterable[Package]) -> set[str]:
    """References of packages that some need, and of all that those need in turn."""
    by_reference = {_reference(package): package for package in packages}
    found: set[str] = set()
    waiting = list(_named(packages, wanted))
    while waiting:
        reference = waiting.pop()
        if reference not in found:
            found.add(reference)
            waiting += _needs(packages, by_reference[reference])["dependsOn"]
    return found


def _named(packages: Sequence[Package], wanted: Iterable[Package]) -> Iterator[str]:
    """A name that the lock has in several versions stands for each that its entry allows."""
    for one in wanted:
        for package in packages:
            if package["name"] == one["name"] and one.get("version") in (None, _version(package)):
                yield _reference(package)


def _reference(package: Package) -> str:
    return f"pkg:pypi/{package['name']}@{quote(_version(package), safe='')}"


def _version(package: Package) -> str:
    # A project with a computed version has none in its own lock.
    return str(package.get("version", "0"))
