"""A network and a film -> a table of its layers, pictures of them, one report."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lucency import files, images, progress
from lucency.anatomy import pictures, report, sight, windows
from lucency.anatomy.layers import Anatomy, analyse
from lucency.anatomy.report import Shown
from lucency.anatomy.what_if import compare
from lucency.anatomy.windows import ChainRow
from lucency.config.analyze import AnalyzeConfig
from lucency.datasets import phantom
from lucency.errors import ConfigError
from lucency.pipeline.subject import Subject, find
from lucency.pipeline.threads import one_thread
from lucency.preprocess import Preprocess

REPORT = "report.html"
TABLE = "anatomy.json"
_DRAWN_SIZE = 256


@one_thread()
def analyze(config: AnalyzeConfig) -> dict[str, Any]:
    """
    Take a network apart, calculate a chain, or both, and write the report.

    Raises:
        ConfigError: the network does not take the input, or a changed layer does not exist.
    """
    started = time.monotonic()
    subject = find(config)
    chain = _chain(config, subject)
    anatomy = _taken_apart(subject) if subject else None
    comparison = None
    if subject is not None and anatomy is not None and config.change:
        comparison = compare(subject.model, anatomy, config.change)
        progress.say("==> before and after")
        progress.say(report.text(report.compared_rows(comparison), report.COMPARED_COLUMNS))
    shown = Shown()
    if subject is not None and anatomy is not None and config.pictures:
        shown = _shown(config, subject, anatomy)
    page = report.html(
        title=subject.name if subject else "A chain of layers",
        weights=subject.weights if subject else "",
        anatomy=anatomy,
        comparison=comparison,
        chain=chain,
        shown=shown,
        settings=config.to_yaml(),
    )
    record = {
        **({"model": subject.name, "weights": subject.weights} if subject else {}),
        **(anatomy.record() if anatomy else {}),
        **({"change": comparison.record()} if comparison else {}),
        **({"chain": [row.record() for row in chain]} if chain else {}),
    }
    _write(config.output, page, record, shown.pictures)
    return {
        **record,
        "report": str(config.output / REPORT),
        "seconds": round(time.monotonic() - started, 2),
    }


def _chain(config: AnalyzeConfig, subject: Subject | None) -> list[ChainRow]:
    channels, side, _ = subject.shape if subject else (1, config.size or 224, 0)
    if subject is None and config.color == "RGB":
        channels = 3
    rows = windows.chain(side, config.chain, channels)
    if rows:
        progress.say("==> chain")
        progress.say(report.text([row.record() for row in rows], report.CHAIN_COLUMNS))
    return rows


def _taken_apart(subject: Subject) -> Anatomy:
    anatomy = analyse(subject.model, subject.shape)
    progress.say(f"==> layers of {subject.name}")
    progress.say(report.text([layer.record() for layer in anatomy.layers], report.COLUMNS))
    for sentence in report.summary(anatomy):
        progress.say(f"    {sentence}")
    return anatomy


def _shown(config: AnalyzeConfig, subject: Subject, anatomy: Anatomy) -> Shown:
    said, pixels = _film(config, subject.preprocess)
    films = sight.films(anatomy, torch.from_numpy(subject.preprocess.normalise(pixels)))
    found = {}
    if (drawn := pictures.filters(subject.model, subject.weights)) is not None:
        found["filters"] = drawn
    if stages := sight.stages(anatomy):
        maps, effects = sight.effects(anatomy, films, stages)
        rows = list(zip(stages, maps, strict=True))
        gray = pixels.mean(axis=2, dtype=np.float32) / 255
        found["feature maps"] = pictures.feature_maps(rows, subject.weights)
        found["receptive fields"] = pictures.sights(gray, effects, subject.weights)
    return Shown(found, said, len(films))


def _film(config: AnalyzeConfig, preprocess: Preprocess) -> tuple[str, np.ndarray]:
    """What the film is, and its pixels as the network gets them, uint8 h x w x c."""
    if config.film is None:
        size = max(_DRAWN_SIZE, preprocess.size)
        drawn, _ = phantom.draw(config.seed, 1, size=size, ill=True, site="scanner_a")
        pixels = np.repeat(drawn[:, :, None], preprocess.channels, axis=2)
        return "A drawn phantom film", preprocess.resize(pixels)
    if not config.film.is_file():
        raise ConfigError(f"film {str(config.film)!r} does not exist: give a PNG or JPEG file")
    decoded = images.decode(config.film.read_bytes(), color=preprocess.color)
    return f"Film {config.film.name}", preprocess.resize(decoded)


def _write(output: Path, page: str, record: dict[str, Any], shown: Mapping[str, bytes]) -> None:
    for name, png in shown.items():
        with files.atomic_file(output / f"{name.replace(' ', '_')}.png") as temporary:
            temporary.write_bytes(png)
    files.write_json(output / TABLE, record)
    files.write_text(output / REPORT, page)
