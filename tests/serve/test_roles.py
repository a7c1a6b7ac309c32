"""The table of roles: every path of the service, and tries to slip past it."""

import pytest
from fastapi.testclient import TestClient

from serve.roles import Need, need_of, path_of


@pytest.mark.parametrize(
    ("path", "need"),
    [
        ("/healthz", "nobody"),
        ("/readyz", "nobody"),
        ("/v2/health/live", "nobody"),
        ("/v2/health/ready", "nobody"),
        ("/v1/predict", "predict"),
        ("/v1/predict:batch", "predict"),
        ("/v1/explain", "predict"),
        ("/v2/models/chest/infer", "predict"),
        ("/v2/models/chest/versions/3/infer", "predict"),
        ("/v1/labels", "label"),
        ("/v1/labels/42", "label"),
        ("/v1/rollout", "operate"),
        ("/v1/rollout/abort", "operate"),
        ("/v1/admin/reload", "operate"),
        ("/metrics", "operate"),
        ("/v1/model", None),
        ("/docs", None),
        ("/v2/models/chest", None),
        ("/healthz/../v1/model", None),
        ("/healthz/", None),
        ("/v1/predict\n", "predict"),
        ("/v1/rollout/a\nb", "operate"),
    ],
)
def test_path_has_its_need(path: str, need: Need | None) -> None:
    """Each path needs its role, and what only resembles an open one needs a caller."""
    assert need_of(path) == need


def test_every_route_was_thought_of(client: TestClient) -> None:
    """A new route is in the table, or on this list of those for any known caller."""
    paths = client.get("/openapi.json").json()["paths"]

    described = {path for path in paths if path.startswith("/v2") and "infer" not in path}
    anyone = {"/v1/model", "/v1/models", *described}
    assert {path for path in paths if need_of(path) is None} <= anyone


@pytest.mark.parametrize(
    ("path", "root", "seen"),
    [
        ("/v1/predict", "", "/v1/predict"),
        ("/chest/v1/predict", "/chest", "/v1/predict"),
        ("/chest/v1/predict", "/che", "/chest/v1/predict"),
    ],
)
def test_prefix_is_taken_off_as_the_router_does(path: str, root: str, seen: str) -> None:
    """Under a route prefix the same table counts."""
    assert path_of({"path": path, "root_path": root}) == seen
