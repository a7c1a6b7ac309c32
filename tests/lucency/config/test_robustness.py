"""What the robustness job may be told."""

from typing import Any

import pytest

from lucency.config.robustness import RobustnessConfig
from lucency.errors import ConfigError

LEAST = {"bundle": "b", "table": "t", "report": "r.html"}


def test_a_bare_name_is_a_corruption() -> None:
    """Corruptions are named; left out, all are meant."""
    config = RobustnessConfig.from_mapping({**LEAST, "corruptions": ["gamma", "jpeg"]}, "tests")

    assert config.corruptions is not None
    assert [each.name for each in config.corruptions] == ["gamma", "jpeg"]
    assert RobustnessConfig.from_mapping(LEAST, "tests").corruptions is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": "test"}, "reason=TEXT"),
        ({"split": "train"}, "split"),
        ({"corruptions": ["gamma", "gamma"]}, "twice"),
        ({"corruptions": ["fog"]}, "fog"),
        ({"shortcut_auroc": 0.4}, "shortcut_auroc"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], said: str) -> None:
    """A locked split without a reason, a corruption unknown or twice, a bar under chance."""
    with pytest.raises(ConfigError, match=said):
        RobustnessConfig.from_mapping({**LEAST, **change}, "tests")
