"""TensorBoard reads a run back as it was, also one that was interrupted."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lucency.training.tracking_tensorboard import EventFiles


def written(folder: Path, epochs: range, value: float) -> None:
    """One process's part of a run."""
    files = EventFiles(folder, {"seed": 7})
    for epoch in epochs:
        files.row(epoch, {"train_loss": value, "auroc": value})
    files.finish("FINISHED", {})


def read(folder: Path) -> EventAccumulator:
    """All event files of a folder together."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_figures_and_recipe_are_read_back(tmp_path: Path) -> None:
    """Every figure is a curve by epoch in its group, and the recipe stands beside them."""
    written(tmp_path, range(1, 4), 0.5)

    found = read(tmp_path)
    assert found.Tags()["scalars"] == ["loss/train", "validation/auroc"]
    assert [(event.step, event.value) for event in found.Scalars("loss/train")] == [
        (1, 0.5),
        (2, 0.5),
        (3, 0.5),
    ]
    text = found.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0]
    assert text == b"    seed: 7\n"


def test_resumed_run_has_each_epoch_once(tmp_path: Path) -> None:
    """From where a run goes on, what the interrupted process wrote is forgotten."""
    written(tmp_path, range(1, 5), 0.5)
    written(tmp_path, range(3, 6), 0.25)

    found = [(event.step, event.value) for event in read(tmp_path).Scalars("loss/train")]
    assert found == [(1, 0.5), (2, 0.5), (3, 0.25), (4, 0.25), (5, 0.25)]


def test_run_given_whole_again_is_there_once(tmp_path: Path) -> None:
    """A run that begins anew under its name leaves nothing of the first one."""
    written(tmp_path, range(1, 5), 0.5)
    written(tmp_path, range(1, 3), 0.25)

    found = read(tmp_path)
    assert [(event.step, event.value) for event in found.Scalars("loss/train")] == [
        (1, 0.25),
        (2, 0.25),
    ]
    assert len(found.Tensors("recipe/text_summary")) == 1


def test_failure_is_left_behind(tmp_path: Path) -> None:
    """After a failure the next epoch opens a file of its own."""
    files = EventFiles(tmp_path, {})
    files.row(1, {"train_loss": 0.5})
    files.drop()
    files.row(2, {"train_loss": 0.25})
    files.finish("FINISHED", None)

    assert [event.step for event in read(tmp_path).Scalars("loss/train")] == [1, 2]
    assert len(list(tmp_path.glob("events.*"))) == 2
