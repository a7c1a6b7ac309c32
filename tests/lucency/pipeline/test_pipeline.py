"""Where the pipeline keeps what it makes."""

from lucency.config.export import Packing
from lucency.pipeline.pipeline import _named


def test_each_way_of_packing_has_a_folder() -> None:
    """A run whose bundle is made otherwise the second time does not pass off the first for it."""
    ways = [Packing(), Packing(calibration="platt"), Packing(calibration="isotonic")]

    names = [_named("1234-abcd", way) for way in ways]

    assert names[0] == "1234-abcd"
    assert len(set(names)) == 3
    assert names[1] == _named("1234-abcd", Packing(calibration="platt"))
    assert all(name.startswith("1234-abcd") for name in names)
