"""What the worklist job may be told."""

import pytest

from lucency.config.worklist import WorklistConfig
from lucency.errors import ConfigError


def test_the_test_split_needs_a_reason() -> None:
    """It is locked; reading verdicts back opens nothing, so that needs none."""
    settings = {"bundle": "b", "table": "t", "output": "o", "split": "test"}

    with pytest.raises(ConfigError, match="reason=TEXT"):
        WorklistConfig.from_mapping(settings, "tests")

    assert WorklistConfig.from_mapping({**settings, "verdicts": "f.csv"}, "tests").verdicts
