"""One move a call."""

from pathlib import Path

import pytest

from lucency.config.promote import PromoteConfig
from lucency.errors import ConfigError


@pytest.mark.parametrize(
    "asked",
    [{}, {"bundle": "b", "rollback": True}, {"withdraw": True, "promote_challenger": True}],
    ids=["nothing", "bundle and rollback", "withdraw and promote"],
)
def test_exactly_one_move_is_asked_for(asked: dict[str, object]) -> None:
    """Nothing to do, and two things at once, are told before anything is moved."""
    with pytest.raises(ConfigError, match="give one of"):
        PromoteConfig.from_mapping({"store": "s", **asked}, "x.yaml")


def test_challenger_needs_a_bundle() -> None:
    """What else is asked for has no bundle to put beside the champion."""
    with pytest.raises(ConfigError, match="there is no bundle"):
        PromoteConfig.from_mapping({"store": "s", "rollback": True, "as_challenger": True}, "x")


def test_uri_stays_a_uri() -> None:
    """A path would make one slash of two."""
    assert PromoteConfig(store="s3://bucket/store", rollback=True).store == "s3://bucket/store"
    assert PromoteConfig(store=Path("work/store"), rollback=True).store == Path("work/store")
