"""What the release job may be told."""

from pathlib import Path

import pytest

from lucency.config.release import ReleaseConfig
from lucency.errors import ConfigError

SETTINGS = {"bundle": "b", "store": "s", "run": "r", "output": "o", "tests": ["tests/a.py"]}


def test_tests_have_one_source() -> None:
    """They are run, or somebody's report of them is taken."""
    with pytest.raises(ConfigError, match="give one"):
        ReleaseConfig.from_mapping({**SETTINGS, "run_tests": True, "junit": "j.xml"}, "tests")


def test_the_source_tree_is_this_one() -> None:
    """Left out, the root is that of the code that runs."""
    root = ReleaseConfig.from_mapping(SETTINGS, "tests").root

    assert root == Path(__file__).parents[3]


def test_no_tests_are_no_release() -> None:
    """An empty list of tests would always pass."""
    with pytest.raises(ConfigError, match="tests"):
        ReleaseConfig.from_mapping({**SETTINGS, "tests": []}, "tests")
