"""A run as event files for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch.utils.tensorboard import SummaryWriter

from lucency import files

# A figure of the validation films unless it is named here; panels of one group stand together.
_PANELS = {
    "train_loss": "loss/train",
    "validation_loss": "loss/validation",
    "score": "score/score",
    "learning_rate": "optimizer/learning_rate",
    "images_per_s": "speed/images_per_s",
    "seconds": "speed/seconds",
    "wait_s": "speed/wait_s",
    "compute_s": "speed/compute_s",
    "measure_s": "speed/measure_s",
    "memory_mib": "resources/memory_mib",
    "gpu_energy_j": "resources/gpu_energy_j",
}


class EventFiles:
    """One folder of event files; ``tensorboard --logdir`` its parent shows all runs together."""

    name = "TensorBoard"

    def __init__(self, folder: Path, recipe_plain: Mapping[str, Any]) -> None:
        self._folder = folder
        self._recipe_plain = recipe_plain
        self._writer: SummaryWriter | None = None

    def row(self, epoch: int, figures: Mapping[str, float]) -> None:
        if self._writer is None:
            # Readers forget what an earlier process wrote of this epoch and of later ones.
            self._writer = SummaryWriter(str(self._folder), purge_step=epoch)
            self._add_recipe(self._writer, epoch)
        for key, value in figures.items():
            self._writer.add_scalar(_PANELS.get(key, f"validation/{key}"), value, epoch)
        self._writer.flush()

    def _add_recipe(self, writer: SummaryWriter, epoch: int) -> None:
        """Once: texts of an earlier process are not forgotten as its figures are."""
        text = yaml.safe_dump(dict(self._recipe_plain), sort_keys=False)
        kept = self._folder / "recipe.yaml"
        if not kept.is_file() or kept.read_text(encoding="utf-8") != text:
            writer.add_text("recipe", _indented(text), epoch)
            files.write_text(kept, text)

    def finish(self, status: str, record: Mapping[str, Any] | None) -> None:
        """Event files know no status and no record: they only end."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def drop(self) -> None:
        # Not closed: a writer whose thread has died of a full disk would wait for it for ever.
        self._writer = None


def _indented(text: str) -> str:
    """As Markdown shows it unchanged: four spaces in front of each line."""
    return "".join(f"    {line}\n" for line in text.splitlines())
