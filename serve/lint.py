"""Strict check of a Ray Serve config: Ray's own schema ignores every key it does not know."""

import difflib
import importlib
import inspect
import reprlib
from collections.abc import Iterable, Iterator
from types import FunctionType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ray.serve import Application
from ray.serve._private.api import call_user_app_builder_with_args_if_necessary
from ray.serve._private.build_app import build_app
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from lucency.config.serve import is_loopback

# Said once by unknown_keys, with the nearest name; pydantic would say it again without.
UNKNOWN_KEY = "extra_forbidden"


def lint(config: dict[str, Any]) -> list[str]:
    """
    What is wrong with a Serve config (the content of ``serveConfigV2``), one line a mistake.

    Imports each application as Serve would, and builds it when the config names deployments:
    the folder that holds the application must be on ``sys.path``. A good config gives [].
    """
    problems = [
        *unknown_keys(config, ServeDeploySchema),
        *invalid_values(config, ServeDeploySchema),
    ]
    for index, application in enumerate(_dicts(config.get("applications"))):
        path = f"applications[{index}]"
        for number, deployment in enumerate(_dicts(application.get("deployments"))):
            where = f"{path}.deployments[{number}].autoscaling_config"
            scaling = deployment.get("autoscaling_config")
            if isinstance(scaling, dict):
                problems += invalid_values(scaling, AutoscalingConfig, where)
        if isinstance(application.get("import_path"), str):
            problems += _application_problems(application, path)
        problems += _exposed(config.get("http_options"), application.get("args"), path)
    return list(dict.fromkeys(problems))


def unknown_keys(value: Any, annotation: Any, path: str = "") -> Iterator[str]:
    """A line for each key, at any depth, that no model in ``annotation`` has."""
    if isinstance(value, dict):
        fields = _fields(annotation)
        for key, child in value.items() if fields else ():
            where = f"{path}.{key}".lstrip(".")
            if key in fields:
                yield from unknown_keys(child, fields[key], where)
            else:
                yield f"{where}: unknown key {key!r}{_nearest(key, fields)}"
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from unknown_keys(child, _item(annotation), f"{path}[{index}]")


def invalid_values(value: Any, model: type[BaseModel], path: str = "") -> Iterator[str]:
    """A line for each value that ``model`` refuses: where, what was found, what is expected."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != UNKNOWN_KEY:
                where = (path + _dotted(problem["loc"])).lstrip(".") or "config"
                expected = " ".join(problem["msg"].removeprefix("Value error, ").split())
                yield f"{where}: found {reprlib.repr(problem['input'])}, expected: {expected}"


def _application_problems(application: dict[str, Any], path: str) -> list[str]:
    import_path = application["import_path"]
    args = application.get("args") or {}
    try:
        target = _imported(import_path)
    except Exception as error:  # a user's module may raise anything while it is imported
        return [f"{path}.import_path: {import_path!r} cannot be imported: {_line(error)}"]

    model = _args_model(target)
    if model is not None:
        where = f"{path}.args"
        problems = [*unknown_keys(args, model, where), *invalid_values(args, model, where)]
        if problems:
            return problems

    named = [deployment.get("name") for deployment in _dicts(application.get("deployments"))]
    if not named:
        return []
    try:
        built = build_app(call_user_app_builder_with_args_if_necessary(target, args), name="lint")
    except Exception as error:  # the builder is user code as well
        return [f"{path}.import_path: {import_path!r} cannot be built: {_line(error)}"]
    known = [deployment.name for deployment in built.deployments]
    return [
        f"{path}.deployments[{index}].name: found {name!r}, no such deployment"
        f"{_nearest(name, known)}"
        for index, name in enumerate(named)
        if name not in known
    ]


def _exposed(http_options: Any, args: Any, path: str) -> Iterator[str]:
    """A line if whoever reaches the port may call, and more than this machine may reach it."""
    access = args.get("access") if isinstance(args, dict) else None
    host = http_options.get("host") if isinstance(http_options, dict) else None
    # A host that is left out is loopback or all interfaces, as Ray's environment has it.
    if isinstance(access, dict) and access.get("open") and not is_loopback(host):
        yield (
            f"{path}.args.access.open: found True with http_options.host {host!r}, expected a "
            "loopback host to be stated, or access.keys or access.tokens instead"
        )


def _imported(import_path: str) -> Any:
    """The application or builder that ``module:attribute`` (or ``module.attribute``) names."""
    module_name, _, attribute = import_path.replace(":", ".").rpartition(".")
    module = importlib.import_module(module_name)
    if not hasattr(module, attribute):
        raise AttributeError(
            f"module {module_name!r} has no {attribute!r}{_nearest(attribute, dir(module))}"
        )
    target = getattr(module, attribute)
    if not isinstance(target, Application | FunctionType):
        raise TypeError(f"found {type(target).__name__}, expected a builder or an Application")
    return target


def _args_model(target: Any) -> type[BaseModel] | None:
    """The model into which Serve turns ``args``: the annotation of the builder's parameter."""
    if not isinstance(target, FunctionType):
        return None
    for parameter in inspect.signature(target).parameters.values():
        return _model(parameter.annotation)
    return None


def _fields(annotation: Any) -> dict[str, Any]:
    """Key to annotation, over all models among the alternatives; empty if any key will do."""
    found: dict[str, Any] = {}
    for alternative in _alternatives(annotation):
        model = _model(alternative)
        for name, field in model.model_fields.items() if model else ():
            found[field.alias or name] = found[name] = field.annotation
    return found


def _model(annotation: Any) -> type[BaseModel] | None:
    """The annotation itself where it is a pydantic model."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _item(annotation: Any) -> Any:
    """What a list of this annotation holds; None if nothing is said about it."""
    for alternative in _alternatives(annotation):
        if get_origin(alternative) in (list, tuple):
            return get_args(alternative)[0]
    return None


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, with what ``Annotated`` adds taken off; else the annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [each for member in get_args(annotation) for each in _alternatives(member)]
    return [annotation]


def _dicts(value: Any) -> list[dict[str, Any]]:
    """
    The value as a list of dictionaries, so that indices stay those of the config.

    What is of another type is the schema's to refuse.
    """
    items = value if isinstance(value, list) else []
    return [item if isinstance(item, dict) else {} for item in items]


def _dotted(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _nearest(name: Any, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    if close:
        return f", did you mean {close[0]!r}?"
    return f", expected one of {', '.join(names)}"


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
