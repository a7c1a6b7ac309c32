"""HTML pages from templates beside the modules that fill them; one way to escape, for all."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str, **filters: Callable[..., Any]) -> Environment:
    """
    Where the templates of a package are rendered; a name that is not given is an error.

    Args:
        filters: Functions that the templates call, by the name they use.
    """
    found = Environment(
        loader=PackageLoader(package, ""),
        # Asked for by name: jinja2 would guess from ".j2" and leave it off.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(filters)
    return found
