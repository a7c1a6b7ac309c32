"""The Serve lint says each mistake that Ray's schema lets pass, and nothing of a good config."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.serve.schema import ServeDeploySchema

from serve.lint import lint

Config = dict[str, Any]

APPLICATION = """
from pydantic import BaseModel
from ray import serve

class Scaling(BaseModel):
    min_replicas: int = 1

class Settings(BaseModel):
    store: str
    scaling: Scaling = Scaling()

@serve.deployment(name="classifier")
class Classifier:
    pass

def build(settings: Settings) -> serve.Application:
    return Classifier.bind()

number = 3
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """A good config over an application written for this test."""
    (tmp_path / "toy_application.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(tmp_path)
    yield {
        "proxy_location": "EveryNode",
        "http_options": {"port": 8000},
        "logging_config": {"encoding": "JSON"},
        "applications": [
            {
                "name": "toy",
                "import_path": "toy_application:build",
                "args": {"store": "/data", "scaling": {"min_replicas": 2}},
                "deployments": [
                    {
                        "name": "classifier",
                        "autoscaling_config": {"min_replicas": 1, "max_replicas": 2},
                        "ray_actor_options": {"num_cpus": 1},
                    }
                ],
            }
        ],
    }
    sys.modules.pop("toy_application", None)


def test_good_config_has_no_problem(config: Config) -> None:
    """A config that Serve would run as written gives an empty list."""
    assert lint(config) == []


@pytest.mark.parametrize(
    ("place", "misspelt", "meant"),
    [
        ([], "proxy_locaton", "proxy_location"),
        (["http_options"], "prot", "port"),
        (["logging_config"], "encodng", "encoding"),
        (["applications", 0], "route_prefx", "route_prefix"),
        (["applications", 0, "args"], "stoer", "store"),
        (["applications", 0, "args", "scaling"], "min_replica", "min_replicas"),
        (["applications", 0, "deployments", 0], "num_replcas", "num_replicas"),
        (["applications", 0, "deployments", 0, "ray_actor_options"], "num_cpu", "num_cpus"),
        (
            ["applications", 0, "deployments", 0, "autoscaling_config"],
            "max_replics",
            "max_replicas",
        ),
    ],
)
def test_misspelt_key_is_named_with_its_path(
    config: Config, place: list[str | int], misspelt: str, meant: str
) -> None:
    """A key that is misspelt at any level gives one line: its path and the nearest name."""
    parent: Any = config
    for step in place:
        parent = parent[step]
    parent[misspelt] = 3
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)

    problems = lint(config)

    assert problems == [
        f"{path}.{misspelt}".lstrip(".") + f": unknown key {misspelt!r}, did you mean {meant!r}?"
    ]


def test_ray_itself_lets_a_misspelt_key_pass(config: Config) -> None:
    """Ray's schema accepts an unknown deployment key: the day it refuses, the lint can shrink."""
    config["applications"][0]["deployments"][0]["num_replcas"] = 3

    ServeDeploySchema.model_validate(config)


def test_minimum_over_maximum_is_refused(config: Config) -> None:
    """More replicas at least than at most is a problem at the deployment's autoscaling_config."""
    config["applications"][0]["deployments"][0]["autoscaling_config"]["min_replicas"] = 3

    (problem,) = lint(config)

    assert problem.startswith("applications[0].deployments[0].autoscaling_config: found {")
    assert "max_replicas" in problem.partition("expected: ")[2]


def test_unknown_deployment_is_refused(config: Config) -> None:
    """Options for a deployment that the application does not build are for none."""
    config["applications"][0]["deployments"][0]["name"] = "clasifier"

    assert lint(config) == [
        "applications[0].deployments[0].name: found 'clasifier', no such deployment, "
        "did you mean 'classifier'?"
    ]


def test_value_of_a_wrong_type_is_shown(config: Config) -> None:
    """A value that the schema refuses is quoted at its path."""
    config["applications"][0]["deployments"][0]["ray_actor_options"]["num_cpus"] = "many"

    (problem,) = lint(config)

    assert problem.startswith("applications[0].deployments[0].ray_actor_options.num_cpus: ")
    assert "found 'many'" in problem


def test_args_are_checked_by_the_model_of_the_builder(config: Config) -> None:
    """A builder argument that is left out is found without building the application."""
    del config["applications"][0]["args"]["store"]

    (problem,) = lint(config)

    assert problem.startswith("applications[0].args.store: ")
    assert problem.endswith("expected: Field required")


@pytest.mark.parametrize(
    ("import_path", "reason"),
    [
        ("no_such_module:build", "No module named 'no_such_module'"),
        ("toy_application:biuld", "did you mean 'build'?"),
        ("toy_application:number", "found int, expected a builder or an Application"),
    ],
)
def test_import_path_that_leads_nowhere_is_refused(
    config: Config, import_path: str, reason: str
) -> None:
    """An application that Serve could not import is said, with the reason on the same line."""
    config["applications"][0]["import_path"] = import_path

    (problem,) = lint(config)

    assert problem.startswith(f"applications[0].import_path: {import_path!r} cannot be imported")
    assert reason in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("http_options", "exposed"),
    [
        ({"host": "127.0.0.1"}, False),
        ({"host": "::1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "10.0.0.7"}, True),
        ({"host": "localhost.example"}, True),
        ({"port": 8000}, True),
        (None, True),
    ],
)
def test_open_service_beyond_loopback_is_refused(
    http_options: Config | None, exposed: bool
) -> None:
    """An application that asks nobody for a key must state a loopback host."""
    args = {"store": "/data", "access": {"open": True}}
    config: Config = {"applications": [{"import_path": "serve.app:build", "args": args}]}
    if http_options is not None:
        config["http_options"] = http_options

    problems = lint(config)

    assert len(problems) == exposed
    assert all(each.startswith("applications[0].args.access.open: found") for each in problems)


def test_closed_service_may_listen_anywhere() -> None:
    """With keys, or with what the environment names, any host will do."""
    for access in ({"keys": "keys.jsonl"}, {}, None):
        args = {"store": "/data"} | ({"access": access} if access is not None else {})
        application = {"import_path": "serve.app:build", "args": args}

        assert lint({"http_options": {"host": "0.0.0.0"}, "applications": [application]}) == []


def test_config_without_applications_is_refused() -> None:
    """A config that deploys nothing is a mistake, not a success."""
    assert lint({}) == ["applications: found {}, expected: Field required"]
