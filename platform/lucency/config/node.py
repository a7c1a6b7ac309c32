"""
YAML and ``a.b=c`` overrides -> frozen pydantic models, and errors that a person can act on.

An error names the file, the path of the key, what was found, what was expected and the
nearest valid name; nothing starts before a configuration is whole.
"""

import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from lucency import files
from lucency.errors import ConfigError
from lucency.registry import FamilyField

# How pydantic names the branches of a union in the place of an error.
_KIND = re.compile(r"(literal|tuple|list|constrained|nullable|int|float|str|bool)\b")


class Node(BaseModel):
    """A configuration or a part of one: unknown keys are errors, values are frozen."""

    # A default of 1 for a float must have the digest of the 1.0 that is read back.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def from_file(cls, path: Path, overrides: Sequence[str] = ()) -> Self:
        """
        Load a YAML file and apply overrides of the form ``a.b=c``; c is read as YAML.

        Raises:
            ConfigError: one line for each thing that is wrong.
        """
        raw = _read(path)
        for override in overrides:
            _apply(raw, override)
        return cls.from_mapping(raw, str(path))

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], where: str) -> Self:
        """
        Check plain values; ``where`` names their origin in messages.

        Raises:
            ConfigError: one line for each thing that is wrong.
        """
        try:
            return cls.model_validate(raw)
        except ValidationError as cause:
            errors = cause.errors()
            # A tuple whose entry is wrong is also called too short: only the entry tells.
            lines = [
                _explain(cls, raw, error)
                for error in errors
                if not any(
                    len(other["loc"]) > len(error["loc"])
                    and other["loc"][: len(error["loc"])] == error["loc"]
                    for other in errors
                )
            ]
            raise ConfigError("\n".join(f"{where}: {line}" for line in _joined(lines))) from None

    def plain(self) -> dict[str, Any]:
        """The resolved values, ready for YAML or JSON."""
        return self.model_dump(mode="json", serialize_as_any=True)

    def to_yaml(self) -> str:
        """The resolved values as YAML; ``from_file`` reads them back."""
        return yaml.safe_dump(self.plain(), sort_keys=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved values."""
        return files.digest(self.plain())


class _Loader(yaml.SafeLoader):
    """YAML in which the same key twice is an error; the plain loader keeps the last in silence."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
        raise ConfigError(f"key {twice[0]!r} stands twice, line {node.start_mark.line + 1}")
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        folder = path.parent
        names = [other.name for other in folder.glob("*.y*ml")] if folder.is_dir() else []
        hint = _nearest(path.name, names) or f"; {str(folder)!r} holds {sorted(names)}"
        raise ConfigError(f"configuration {str(path)!r} does not exist{hint}")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(cause).split())}") from cause
    except ConfigError as cause:
        raise ConfigError(f"{path}: {cause}") from None
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: found a {type(raw).__name__}, expected keys and values")
    return raw


def _apply(raw: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ConfigError(f"override {override!r}: expected the form key.subkey=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise ConfigError(f"override {override!r}: {text!r} is not valid YAML") from cause
    *parents, last = path.split(".")
    here: Any = raw
    for part in parents:
        here = _step(here, part, override)
    if isinstance(here, list):
        here[_index(here, last, override)] = value
    else:
        here[last] = value


def _step(here: Any, part: str, override: str) -> Any:
    if isinstance(here, list):
        child = here[_index(here, part, override)]
    else:
        child = here.get(part)
        if child is None:
            child = here[part] = {}
        elif isinstance(child, str):
            # A bare component name is short for its options.
            child = here[part] = {"name": child}
    if not isinstance(child, dict | list):
        raise ConfigError(f"override {override!r}: {part!r} is {child!r}, it has no keys")
    return child


def _index(items: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise ConfigError(
            f"override {override!r}: {part!r} is not a position in a list of {len(items)}"
        )
    return int(part)


def _joined(lines: Sequence[str]) -> list[str]:
    """One line a value: where several kinds are allowed, pydantic tells of each by itself."""
    found: dict[str, list[str]] = {}
    for line in lines:
        start, between, expected = line.partition(", expected")
        found.setdefault(start + between, []).append(expected)
    return [start + " or".join(dict.fromkeys(rest)) for start, rest in found.items()]


def _explain(model: type[BaseModel], raw: Any, error: ErrorDetails) -> str:
    path, valid = _walk(model, raw, error["loc"])
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "extra_forbidden":
        *_, key = path.split(".")
        return f"{path}: unknown key, expected one of {valid}{_nearest(key, valid)}"
    if kind == "missing":
        return f"{path}: missing, a value is required"
    found = f"found {error['input']!r}"
    if kind == "union_tag_invalid":
        names = [name.strip("'") for name in str(context["expected_tags"]).split(", ")]
        nearest = _nearest(str(context["tag"]), names)
        return f"{path}.name: found {context['tag']!r}, expected one of {names}{nearest}"
    if kind == "union_tag_not_found":
        return f"{path}: {found}, expected a 'name' among its keys"
    if kind == "literal_error":
        names = [
            name.strip("'") for name in str(context["expected"]).replace(" or ", ", ").split(", ")
        ]
        return (
            f"{path}: {found}, expected {context['expected']}{_nearest(str(error['input']), names)}"
        )
    message = error["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{path}: {message}" if path else message
    return f"{path}: {found}, expected: {message[0].lower()}{message[1:]}"


def _walk(
    model: type[BaseModel] | None, raw: Any, location: Sequence[int | str]
) -> tuple[str, list[str]]:
    """The path as a person wrote it, and the valid keys beside its last part."""
    shown: list[str] = []
    annotation: Any = model
    valid: list[str] = []
    here = raw
    for part in location:
        if isinstance(here, dict) and part not in here and here.get("name") == part:
            continue  # pydantic names the chosen member of a family; nobody wrote that
        if isinstance(here, str) and here == part:
            continue
        if isinstance(part, str) and _KIND.match(part) and not isinstance(here, dict):
            continue  # and so does the kind of value that was tried
        fields = _model(annotation, here)
        valid = list(fields.model_fields) if fields else []
        shown.append(str(part))
        annotation = _child(annotation, fields, part)
        here = _get(here, part)
    return ".".join(shown), valid


def _model(annotation: Any, raw: Any) -> type[BaseModel] | None:
    if typing.get_origin(annotation) is Annotated:
        for extra in annotation.__metadata__:
            if isinstance(extra, FamilyField):
                return _model(extra, raw)
    if isinstance(annotation, FamilyField):
        name = raw.get("name") if isinstance(raw, dict) else None
        names = annotation.family.names()
        return annotation.family.options(name) if name in names else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        for choice in typing.get_args(annotation):
            if found := _model(choice, raw):
                return found
    return None


def _child(annotation: Any, fields: type[BaseModel] | None, part: int | str) -> Any:
    if isinstance(part, int):
        arguments = typing.get_args(annotation)
        return arguments[0] if arguments else None
    if typing.get_origin(annotation) is dict:
        return typing.get_args(annotation)[1]
    if fields is None or part not in fields.model_fields:
        return None
    field = fields.model_fields[part]
    for extra in field.metadata:
        if isinstance(extra, FamilyField):
            return extra
    return field.annotation


def _get(raw: Any, part: int | str) -> Any:
    if isinstance(raw, dict):
        return raw.get(part)
    if isinstance(raw, list) and isinstance(part, int) and part < len(raw):
        return raw[part]
    return None


def _nearest(word: str, names: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
