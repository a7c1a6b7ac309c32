"""The page on a model in use; layout in ``reevaluation.html.j2``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lucency import pages
from lucency.evaluation import report, svg
from lucency.evaluation.svg import BLUE, HAIR, INK, MUTED, ORANGE, PALE, WHOLE_IN

_MOST_TICKS = 14


def render(record: Mapping[str, Any], settings: str) -> str:
    """The page as HTML text, nothing loaded from elsewhere."""
    environment = pages.environment(
        "lucency.reevaluation",
        percent=report.percent,
        percent_interval=report.percent_interval,
    )
    return environment.get_template("reevaluation.html.j2").render(
        record=record,
        figure=Markup(over_time(record["weeks"], record["rule"]["sensitivity_floor"])),
        settings=settings,
    )


@svg.style()
def over_time(weeks: Sequence[Mapping[str, Any]], floor: float) -> str:
    """Sensitivity by week with its interval, and below it how many labels it rests on."""
    if not any(week["sensitivity"]["value"] is not None for week in weeks):
        return svg.missing("weeks", "no week has enough late labels", width_in=WHOLE_IN)
    figure = Figure(figsize=(WHOLE_IN, 4.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for x, week in enumerate(weeks):
        found = week["sensitivity"]
        if found["value"] is None:
            continue
        # The whole interval under the floor is an alarm; one that reaches over it is not.
        color = ORANGE if found["upper"] < floor else BLUE
        arms = np.array([[found["value"] - found["lower"]], [found["upper"] - found["value"]]])
        above.errorbar(x, found["value"], yerr=arms, fmt="o", color=color, markersize=5)
    above.axhline(floor, color=MUTED, linewidth=0.8, dashes=(4, 3))
    above.text(0.995, floor, f"floor {100 * floor:g} % ", {"color": MUTED, "fontsize": 8},
               ha="right", va="bottom", transform=above.get_yaxis_transform())  # fmt: skip
    above.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
    above.set(title="sensitivity", ylim=(None, 1.01))
    above.grid(axis="y", color=HAIR, linewidth=0.6)
    places = range(len(weeks))
    below.bar(places, [week["positives"] for week in weeks], color=PALE, width=0.6)
    below.bar(places, [week["missed"] for week in weeks], color=ORANGE, width=0.6)
    below.set(title="labelled positive films; missed ones in front")
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    step = -(-len(weeks) // _MOST_TICKS)
    below.set_xticks(places[::step], [week["name"] for week in weeks][::step], fontsize=8)
    below.tick_params(axis="x", length=0, labelcolor=INK)
    below.set_xlim(-0.6, len(weeks) - 0.4)
    return svg.text(figure, "weeks", "Sensitivity by week with its interval and the floor")
