"""The page on a model at another site; layout in ``external.html.j2``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from lucency import pages
from lucency.evaluation import report


def render(
    *,
    evidence: Mapping[str, Any],
    labels_n: np.ndarray,
    probabilities_nk: np.ndarray,
    suggested_nk: np.ndarray | None,
    variants: Sequence[Mapping[str, Any]] = (),
) -> str:
    """
    The page as HTML text, nothing loaded from elsewhere.

    Args:
        evidence: As sealed into the bundle.
        suggested_nk: Probabilities cross-fitted on the site's own films; None where there are too
            few patients for it.
        variants: As of ``report.render``.
    """
    again_nk = probabilities_nk if suggested_nk is None else suggested_nk
    figures, facts = report.draw(
        evidence, (labels_n, probabilities_nk), (labels_n, probabilities_nk, again_nk)
    )
    functions = (report.percent, report.number, report.percent_interval, report.number_interval)
    environment = pages.environment(
        "lucency.evaluation", **{function.__name__: function for function in functions}
    )
    return environment.get_template("external.html.j2").render(
        evidence=evidence,
        figures={name: Markup(svg) for name, svg in figures.items()},
        variants=variants,
        two=evidence["threshold"] is not None,
        **facts,
    )
