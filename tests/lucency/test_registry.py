"""A signature is the schema: what a family reads off its components."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from lucency.errors import ConfigError
from lucency.registry import Family, Options

INIT = "from lucency.registry import Family\nanimals = Family('animal', 'lucency_test_zoo')\n"
MEMBER = "from lucency_test_zoo import animals\n@animals.register({0!r})\ndef {0}(): return {0!r}\n"


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Family[str]]:
    """A family whose members are modules of a package on disk."""
    package = tmp_path / "lucency_test_zoo"
    package.mkdir()
    (package / "__init__.py").write_text(INIT)
    for name in ("lion", "bear"):
        (package / f"{name}.py").write_text(MEMBER.format(name))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("lucency_test_zoo").animals
    for module in [name for name in sys.modules if name.startswith("lucency_test_zoo")]:
        del sys.modules[module]


@pytest.fixture
def shapes() -> Family[tuple[Any, ...]]:
    """A family of two functions; its package is any module without members."""
    family: Family[tuple[Any, ...]] = Family("shape", "lucency.errors")

    @family.register("circle")
    def circle(
        place: int, colour: str = "red", *, radius: Annotated[float, Field(gt=0)] = 1.0
    ) -> tuple[Any, ...]:
        return place, colour, radius

    @family.register("square")
    def square(place: int, *, side: int) -> tuple[Any, ...]:
        return place, side

    return family


def test_members_are_found_by_scanning_the_package(zoo: Family[str]) -> None:
    """Every module of the package is imported on first use, without a list of names anywhere."""
    before = "lucency_test_zoo.lion" in sys.modules

    names = zoo.names()

    assert not before
    assert names == ["bear", "lion"]


def test_naming_a_family_imports_nothing() -> None:
    """A package is looked for on first use, so that naming its family costs nothing."""
    family: Family[str] = Family("animal", "lucency_no_such_package")

    with pytest.raises(ModuleNotFoundError):
        family.names()


def test_only_keyword_parameters_are_options(shapes: Family[tuple[Any, ...]]) -> None:
    """Parameters left of the star belong to the platform, so a file may not set them."""
    options = shapes.options("circle")

    assert list(options.model_fields) == ["name", "radius"]
    with pytest.raises(ValidationError, match="colour"):
        options.model_validate({"colour": "blue"})


def test_limits_of_the_signature_are_checked(shapes: Family[tuple[Any, ...]]) -> None:
    """An annotation in the signature refuses a value before anything is built."""
    with pytest.raises(ValidationError, match="greater than 0"):
        shapes.options("circle").model_validate({"radius": -1})


def test_parameter_without_default_is_required(shapes: Family[tuple[Any, ...]]) -> None:
    """An option that the signature gives no default must be given."""
    with pytest.raises(ValidationError, match="side"):
        shapes.options("square")(name="square")


def test_build_joins_both_sides_of_the_signature(shapes: Family[tuple[Any, ...]]) -> None:
    """A component gets what the platform passes and what the options say."""
    options = shapes.options("circle").model_validate({"radius": 2})

    assert shapes.build(options, 7, colour="blue") == (7, "blue", 2.0)


def test_unknown_name_lists_the_known_ones(shapes: Family[tuple[Any, ...]]) -> None:
    """Asking for a member that is not there names the family and its members."""
    with pytest.raises(ConfigError, match=r"shape 'cirle'.*\['circle', 'square'\]"):
        shapes.options("cirle")


def test_same_name_twice_is_our_own_mistake(shapes: Family[tuple[Any, ...]]) -> None:
    """Registering a second component under a name fails at import, not at use."""
    with pytest.raises(AssertionError, match="'circle' is registered twice"):
        shapes.register("circle")(lambda: ())


def test_bare_name_is_short_for_default_options(shapes: Family[tuple[Any, ...]]) -> None:
    """In a config field, ``circle`` means the same as ``{name: circle}``."""
    adapter: TypeAdapter[Options] = TypeAdapter(Annotated[Options, shapes.field()])

    assert adapter.validate_python("circle") == adapter.validate_python({"name": "circle"})


def test_default_has_the_type_of_its_annotation() -> None:
    """A whole number as default of a float is a float, as if it had been read from a file."""
    family: Family[float] = Family("shape", "lucency.errors")
    family.register("line")(_line)

    options = family.options("line")(name="line")

    assert isinstance(options.keywords()["length"], float)


def _line(*, length: float = 1) -> float:
    return length
