"""The figures in Prometheus' text format, for node_exporter's textfile collector."""

from collections.abc import Iterator, Mapping
from typing import Any

from lucency.reevaluation.judge import Word

_WORDS: tuple[Word, ...] = ("holds", "below floor", "too few labels")


def text(record: Mapping[str, Any]) -> str:
    """Gauges of a re-evaluation: all films together, and version by version."""
    rows = [("all", record["overall"]), *((row["name"], row) for row in record["versions"])]
    return "\n".join(
        [
            "# HELP lucency_late_sensitivity Sensitivity by late labels; bound is value or an end.",
            "# TYPE lucency_late_sensitivity gauge",
            *(line for version, row in rows for line in _interval(version, row)),
            "# HELP lucency_late_positives Late labels that are positive.",
            "# TYPE lucency_late_positives gauge",
            *(
                f"lucency_late_positives{_labels(model_version=version)} {row['positives']}"
                for version, row in rows
            ),
            "# HELP lucency_late_verdict 1 for the verdict in force.",
            "# TYPE lucency_late_verdict gauge",
            *(
                f"lucency_late_verdict{_labels(model_version=version, verdict=word)} "
                f"{int(row['verdict'] == word)}"
                for version, row in rows
                for word in _WORDS
            ),
            "",
        ]
    )


def _interval(version: str, row: Mapping[str, Any]) -> Iterator[str]:
    for bound, value in row["sensitivity"].items():
        shown = "NaN" if value is None else repr(value)
        yield f"lucency_late_sensitivity{_labels(bound=bound, model_version=version)} {shown}"


def _labels(**labels: str) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}"
