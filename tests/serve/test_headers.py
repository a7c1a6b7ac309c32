"""The security headers of answers."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from serve import headers, ingress
from serve.classifier import Classifier


def request(**values: Any) -> dict[str, Any]:
    """A request's scope."""
    return {"scheme": "http", "headers": [], **values}


@pytest.mark.parametrize("path", ["/healthz", "/v1/nothing", "/v1/predict"])
def test_every_answer_forbids_what_it_does_not_need(client: TestClient, path: str) -> None:
    """Answers and refusals load nothing, are framed by nobody and tell no referrer."""
    found = client.post(path, content=b"").headers

    assert found["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert found["referrer-policy"] == "no-referrer"
    assert found["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in found


def test_documentation_loads_nothing(client: TestClient) -> None:
    """The page has a policy of its own: its one style, by digest, and nothing from elsewhere."""
    page = client.get("/docs")

    (policy,) = page.headers.get_list("content-security-policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "https://cdn" not in page.text


@pytest.mark.parametrize(
    ("scope", "hsts_s", "said"),
    [
        (request(), 60, False),
        (request(scheme="https"), 60, True),
        (request(headers=[(b"x-forwarded-proto", b"https")]), 60, True),
        (request(headers=[(b"x-forwarded-proto", b"http")]), 60, False),
        (request(scheme="https"), 0, False),
    ],
)
def test_https_is_insisted_on_over_https_alone(
    scope: dict[str, Any], hsts_s: int, said: bool
) -> None:
    """HSTS is said where it is configured, to those who came encrypted, here or up to a proxy."""
    names = dict(headers.of(scope, "/", hsts_s=hsts_s))

    assert names.get(b"strict-transport-security") == (b"max-age=60" if said else None)


def test_application_passes_the_setting_on(classifier: Classifier) -> None:
    """What the configuration says of HSTS is in the answers."""
    app = ingress.create(classifier, max_body_bytes=1024, hsts_s=77)

    with TestClient(app, base_url="https://service") as client:
        found = client.get("/healthz").headers

    assert found["strict-transport-security"] == "max-age=77"
