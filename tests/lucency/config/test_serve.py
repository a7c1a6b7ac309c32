"""What the service refuses to be told."""

from typing import Any

import pytest

from lucency.config.serve import ServeConfig, is_loopback
from lucency.errors import ConfigError


def told(**values: Any) -> ServeConfig:
    """A service of some store with these settings."""
    return ServeConfig.from_mapping({"store": "store", **values}, "serve")


def test_store_is_all_that_must_be_said() -> None:
    """The defaults make a service that answers with the champion."""
    config = told()

    assert config.alias == "champion"
    assert config.scaling.min_replicas == 1


def test_store_must_be_said() -> None:
    """Without a store there is nothing to answer with."""
    with pytest.raises(ConfigError, match="serve: store: missing"):
        ServeConfig.from_mapping({}, "serve")


def test_more_replicas_at_least_than_at_most_is_refused() -> None:
    """The range of replicas must have its ends in order."""
    with pytest.raises(ConfigError, match="scaling: min_replicas 3 is over max_replicas 2"):
        told(scaling={"min_replicas": 3, "max_replicas": 2})


def test_batch_that_never_fills_is_refused() -> None:
    """A replica that takes fewer requests than a batch holds would always wait in vain."""
    with pytest.raises(ConfigError, match=r"max_ongoing_requests 4 is under .* 8:"):
        told(batching={"max_batch_size": 8}, scaling={"max_ongoing_requests": 4})


def test_pairs_of_sites_and_views_are_bounded() -> None:
    """Each is a window in every replica: sixty-four with "other", and nothing twice."""
    most = told(sites=[f"s{n}" for n in range(15)], views=["PA", "AP", "LATERAL"])

    assert len(most.sites) == 15
    with pytest.raises(ConfigError, match="make 68 pairs with their rest, at most 64"):
        told(sites=[f"s{n}" for n in range(16)], views=["PA", "AP", "LATERAL"])
    with pytest.raises(ConfigError, match=r"views names one of \['PA', 'PA'\] twice"):
        told(views=["PA", "PA"])


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"batching": {"wait_s": 2}}, "batching.wait_s"),
        ({"batching": {"max_batch_size": 0}}, "batching.max_batch_size"),
        ({"scaling": {"cpus": 0}}, "scaling.cpus"),
        ({"max_body_bytes": 10}, "max_body_bytes"),
        ({"drift_window": 20}, "drift_window"),
        ({"threads": 0}, "threads"),
        ({"access": {"rate": "fast"}}, "access.rate"),
        ({"access": {"rate": "0/minute"}}, "access.rate"),
        ({"access": {"hsts_s": -1}}, "access.hsts_s"),
        ({"sites": ["north", "../x"]}, r"sites\.1"),
        ({"views": ["pa"]}, r"views\.0"),
    ],
)
def test_value_out_of_bounds_is_refused(values: dict[str, Any], place: str) -> None:
    """A setting that no service could run with is refused at its place."""
    with pytest.raises(ConfigError, match=f"^serve: {place}: found"):
        told(**values)


def test_service_is_closed_unless_told_otherwise() -> None:
    """The default asks every caller who he is."""
    assert told().access.open is False


def test_tokens_need_issuer_and_audience() -> None:
    """A token is checked for whom it was made and by whom: both must be said."""
    with pytest.raises(ConfigError, match=r"access\.tokens\.issuer: missing") as caught:
        told(access={"tokens": {"jwks": "keys.json"}})

    assert "access.tokens.audience: missing" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("127.0.0.1.example", False),
        ("", False),
        (None, False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str | None, expected: bool) -> None:
    """Only an address that nobody else can reach, or its name, is loopback."""
    assert is_loopback(host) is expected
