"""
Families: name -> component, and the options of each component read off its signature.

Parameters left of the ``*`` come from the platform; those right of it are what a YAML file
may set. Types and defaults are stated once, in the signature, and checked at load.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from lucency.errors import ConfigError

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])


class Options(BaseModel):
    """What a YAML file says about one component: its name and its keyword-only parameters."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=True
    )

    name: str

    def keywords(self) -> dict[str, Any]:
        """The component's own parameters, without the name."""
        return {key: getattr(self, key) for key in type(self).model_fields if key != "name"}


class Family(Generic[T]):
    """
    One kind of component.

    Args:
        kind: What a person calls it, for messages: "architecture".
        package: Module or package whose modules register into this family. It is imported
            on first use, so naming a family costs nothing.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._components: dict[str, Callable[..., T]] = {}
        self._options: dict[str, type[Options]] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[C], C]:
        """Decorator: make a class or function available under a name."""

        def add(component: C) -> C:
            assert name not in self._components, f"{self.kind} {name!r} is registered twice"
            self._components[name] = component
            self._options[name] = _options_of(name, component)
            return component

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._scan()
        return sorted(self._components)

    def options(self, name: str) -> type[Options]:
        """
        The option model of one component.

        Raises:
            ConfigError: nothing is registered under that name.
        """
        self._scan()
        if name not in self._options:
            raise ConfigError(f"{self.kind} {name!r} is not known; expected one of {self.names()}")
        return self._options[name]

    def field(self) -> "FamilyField":
        """Annotation for a config field that holds the options of one member."""
        return FamilyField(self)

    def build(self, options: Options, /, *args: Any, **platform: Any) -> T:
        """Construct the component, or call the function, from both sides of its signature."""
        self._scan()
        return self._components[options.name](*args, **platform, **options.keywords())

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        module = importlib.import_module(self.package)
        for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
            importlib.import_module(f"{self.package}.{found.name}")


class FamilyField:
    """Tells pydantic to choose the option model by the ``name`` key; a bare name is enough."""

    def __init__(self, family: Family[Any]) -> None:
        self.family = family

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = {
            name: handler.generate_schema(self.family.options(name)) for name in self.family.names()
        }
        return core_schema.no_info_before_validator_function(
            lambda value: {"name": value} if isinstance(value, str) else value,
            core_schema.tagged_union_schema(choices, discriminator="name", from_attributes=True),
        )


def _options_of(name: str, component: Callable[..., Any]) -> type[Options]:
    fields: dict[str, Any] = {"name": (Literal[name], name)}
    for parameter in inspect.signature(component).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (parameter.annotation, default)
    return create_model(f"{name}_options", __base__=Options, **fields)
