"""Every file under configs/ is one runnable thing: it loads by the model of its folder."""

import re
from pathlib import Path

import pytest
import yaml

from lucency.config.analyze import AnalyzeConfig
from lucency.config.batch_size import BatchSizeConfig
from lucency.config.compare import CompareConfig
from lucency.config.evaluate import EvaluateConfig
from lucency.config.explain import ExplainConfig
from lucency.config.export import ExportConfig
from lucency.config.leaks import LeaksConfig
from lucency.config.node import Node
from lucency.config.pipeline import PipelineConfig
from lucency.config.predict import PredictConfig
from lucency.config.prepare import PrepareConfig
from lucency.config.promote import PromoteConfig
from lucency.config.recalibrate import RecalibrateConfig
from lucency.config.reevaluate import ReevaluateConfig
from lucency.config.release import ReleaseConfig
from lucency.config.retrain import RetrainConfig
from lucency.config.robustness import RobustnessConfig
from lucency.config.train import TrainConfig
from lucency.config.tune import TuneConfig
from lucency.config.worklist import WorklistConfig
from lucency.errors import ConfigError
from serve.lint import lint

CONFIGS = Path(__file__).parents[2] / "configs"
MODELS: dict[str, type[Node]] = {
    "prepare": PrepareConfig,
    "leaks": LeaksConfig,
    "train": TrainConfig,
    "export": ExportConfig,
    "evaluate": EvaluateConfig,
    "promote": PromoteConfig,
    "pipeline": PipelineConfig,
    "compare": CompareConfig,
    "analyze": AnalyzeConfig,
    "batch_size": BatchSizeConfig,
    "tune": TuneConfig,
    "explain": ExplainConfig,
    "recalibrate": RecalibrateConfig,
    "robustness": RobustnessConfig,
    "predict": PredictConfig,
    "reevaluate": ReevaluateConfig,
    "retrain": RetrainConfig,
    "release": ReleaseConfig,
    "worklist": WorklistConfig,
}
# What a file leaves to the command line, as its header says.
REQUIRED = {
    "promote": ["bundle=work/bundle"],
    "explain": ["run=work/run"],
    "predict": ["folder=films"],
}

FILES = sorted(CONFIGS.rglob("*.y*ml"))
JOBS = [path for path in FILES if path.parent.name in MODELS]
SERVICES = [path for path in FILES if path.parent.name == "serve"]


def name(path: Path) -> str:
    """The file as a person would write it."""
    return str(path.relative_to(CONFIGS))


def test_every_file_has_a_check() -> None:
    """No configuration lies in a folder that nothing here reads."""
    assert JOBS
    assert SERVICES
    assert sorted(JOBS + SERVICES) == FILES


@pytest.mark.parametrize("path", JOBS, ids=name)
def test_configuration_loads(path: Path) -> None:
    """The file is an instance of the model of its folder."""
    kind = path.parent.name

    MODELS[kind].from_file(path, REQUIRED.get(kind, []))


@pytest.mark.parametrize("path", SERVICES, ids=name)
def test_service_is_what_ray_serve_would_run(path: Path) -> None:
    """Ray Serve and the application's own model accept every key and value of the file."""
    assert lint(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_header_says_how_to_run_it(path: Path) -> None:
    """The comment above the values holds a command."""
    header = path.read_text().partition("\n\n")[0]
    comment = "\n".join(line for line in header.splitlines() if line.startswith("#"))

    assert re.search(r"python jobs/\w+\.py configs/|make \w+|serve run configs/", comment)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_commands_of_the_header_name_files_that_exist(path: Path) -> None:
    """A job or a configuration that a header names is there."""
    named = re.findall(r"(?:jobs|configs)/[\w/]+\.(?:py|yaml)", path.read_text())

    assert [each for each in named if not (CONFIGS.parent / each).is_file()] == []


@pytest.mark.parametrize("overrides", [[], ["bundle=work/bundle", "rollback=true"]])
def test_promotion_needs_a_bundle_or_a_step_back(overrides: list[str]) -> None:
    """Neither and both are refused in the same words."""
    with pytest.raises(ConfigError, match=r"give one of: a bundle to promote, .*--rollback"):
        PromoteConfig.from_file(CONFIGS / "promote" / "default.yaml", overrides)
