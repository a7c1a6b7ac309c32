"""The engines: one answer from all of them, on every thread, and no word to anyone."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lucency.bundle import artifact, engine, export
from lucency.bundle.artifact import Artifact
from lucency.bundle.engine import Engine
from lucency.config.train import Recipe
from lucency.errors import ArtifactError
from lucency.models.base import architectures
from tests.processes import ROOT


@pytest.fixture(scope="module")
def engines(bundle: Artifact) -> dict[str, Engine]:
    """Both runtimes on the bundle's graph, in float32."""
    graph = bundle.path / artifact.GRAPH
    loaded = [engine.load(graph, "onnx", "fp32"), engine.load(graph, "openvino", "fp32")]
    return {each.name: each for each in loaded}


def films(count: int, seed: int = 0) -> np.ndarray:
    """Noise of the network's size."""
    return np.random.default_rng(seed).normal(size=(count, 1, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 5])
def test_runtimes_agree(engines: dict[str, Engine], count: int) -> None:
    """Logits and maps of one runtime are the other's, for a film alone and for several."""
    logits_nk, maps_nkhw = engines["onnx-fp32"].run(films(count))
    others_nk, other_maps_nkhw = engines["openvino-fp32"].run(films(count))

    assert maps_nkhw is not None
    assert other_maps_nkhw is not None
    np.testing.assert_allclose(others_nk, logits_nk, atol=1e-4)
    np.testing.assert_allclose(other_maps_nkhw, maps_nkhw, atol=1e-3)


def test_answer_outlives_the_next_one(engines: dict[str, Engine]) -> None:
    """What was given stays as it was when the engine is asked again."""
    for each in engines.values():
        first, _ = each.run(films(2))
        before = first.copy()
        each.run(films(2, seed=1))

        np.testing.assert_array_equal(first, before)


def test_threads_get_the_answers_that_one_gets(engines: dict[str, Engine]) -> None:
    """Threads that ask at once are not mixed up, whatever batch each has."""
    batches = [films(1 + number % 3, seed=number) for number in range(60)]
    for each in engines.values():
        expected = [each.run(batch)[0] for batch in batches]

        with ThreadPoolExecutor(4) as pool:
            found = [logits for logits, _ in pool.map(each.run, batches)]

        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_graph_without_maps_explains_nothing(recipe: Recipe, tmp_path: Path) -> None:
    """Both runtimes say so, and give None."""
    options = architectures.options("mnist_torch_cnn")(name="mnist_torch_cnn")
    network = architectures.build(options, in_channels=1, outputs=3, side=32).eval()
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(export.to_onnx(network, recipe))

    for runtime in ("onnx", "openvino"):
        loaded = engine.load(graph, runtime, "fp32")
        logits_nk, maps_nkhw = loaded.run(films(2))
        assert (loaded.explains, maps_nkhw, logits_nk.shape) == (False, None, (2, 3))


def test_missing_runtime_is_an_error_to_act_on(
    bundle: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra neither the runtime nor an engine of it is had, and ONNX still is."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    graph = bundle.path / artifact.GRAPH

    with pytest.raises(ArtifactError, match=r"install lucency\[openvino\]"):
        engine.load(graph, "openvino", "fp32")
    with pytest.raises(ArtifactError, match=r"install lucency\[openvino\]"):
        engine.openvino()
    assert engine.load(graph, "onnx", "fp32").explains


def test_unreadable_graph_is_an_error_to_act_on(tmp_path: Path) -> None:
    """A graph that the installed runtime can't read names file and runtime."""
    graph = tmp_path / "graph.xml"
    graph.write_text("<net/>")

    with pytest.raises(ArtifactError, match=r"openvino can't load .*graph\.xml"):
        engine.load(graph, "openvino", "fp32")


def test_openvino_leaves_nothing_at_home(bundle: Artifact, tmp_path: Path) -> None:
    """Its telemetry, which starts with the import, is off: no file, so no identity to report."""
    script = (
        "import sys; from pathlib import Path; from lucency.bundle import engine\n"
        "engine.load(Path(sys.argv[1]), 'openvino', 'fp32')\n"
        "assert 'openvino' in sys.modules\n"
        "assert not {'torch', 'nncf'} & set(sys.modules)\n"
    )
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT / "platform"),
        "ORT_DISABLE_TELEMETRY": "1",
    }

    subprocess.run(
        [sys.executable, "-c", script, str(bundle.path / artifact.GRAPH)],
        check=True,
        env=environment,
        timeout=120,
    )

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
