"""Text and HTML of an anatomy."""

import re

from torch import nn

from lucency.anatomy import report
from lucency.anatomy.layers import analyse
from lucency.anatomy.what_if import Change, compare
from lucency.anatomy.windows import Link, chain
from tests.lucency.anatomy import networks


def page() -> str:
    """A report with all its parts."""
    model = networks.Residual()
    before = analyse(model, (2, 16, 16))
    return report.html(
        title="<net>",
        weights="as initialised",
        anatomy=before,
        comparison=compare(model, before, {"two": Change(kernel_size=3, padding=1)}),
        chain=chain(16, (Link(kernel_size=3, channels=2),), 1),
        shown=report.Shown({"filters": b"PNG"}, "A drawn film", 8),
        settings="model: net",
    )


def test_page_loads_nothing_and_escapes() -> None:
    """One file: pictures inside, no address, nothing that a name could smuggle in."""
    found = page()

    assert "&lt;net&gt;" in found
    assert "data:image/png;base64,UE5H" in found
    assert not re.search(r"https?://|<script|<link", found)
    assert "default-src 'none'" in found


def test_page_has_every_layer_and_comparison() -> None:
    """All rows of the table, the change, the chain and the sums are there."""
    found = page()

    for name in ("stem", "short", "add", "two (changed)", "whole network"):
        assert f"<td>{name}</td>" in found
    assert "Before and after" in found
    assert "Chain" in found


def test_text_is_aligned() -> None:
    """Numbers end in one column, words begin in one."""
    rows = [{"a": "x", "b": 5}, {"a": "longer", "b": 12345}]

    assert report.text(rows, {"a": "name", "b": "n"}).splitlines() == [
        "name         n",
        "x            5",
        "longer  12,345",
    ]


def test_values_read_as_people_write_them() -> None:
    """Axes with a cross, thousands apart, nothing for nothing."""
    values = (None, True, False, [3, 1], 1234567, 0.5, "word")

    assert [report.cell(value) for value in values] == [
        "", "yes", "", "3 x 1", "1,234,567", "0.5", "word",
    ]  # fmt: skip


def test_summary_says_what_must_be_known() -> None:
    """Gates and unknown operations are told, each in a sentence."""
    gated = " ".join(report.summary(analyse(networks.Gated(), (2, 16, 16))))
    odd = nn.Sequential(nn.Conv2d(2, 4, 3), nn.PixelShuffle(2))
    unknown = " ".join(report.summary(analyse(odd, (2, 16, 16))))

    assert "from mean on each unit depends on the whole input through a gate" in gated
    assert "not known are PixelShuffle" in unknown
    assert "sees 3 px and steps by 1 px" in unknown
