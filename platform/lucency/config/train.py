"""What ``jobs/train.py`` may be told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from lucency import files
from lucency.augment import Augmentation
from lucency.config.node import Node
from lucency.errors import ConfigError
from lucency.evaluation.rule import ClinicalRule
from lucency.evaluation.selection import Selection
from lucency.learning.losses import losses
from lucency.learning.mix import Mix
from lucency.learning.optimizers import optimizers
from lucency.learning.schedules import schedules
from lucency.models import backbone
from lucency.models.base import architectures
from lucency.models.weights import Normalisation
from lucency.preprocess import Preprocess
from lucency.registry import Options

Model = Annotated[Options, architectures.field()]


class Phase(Node):
    """
    A stretch of training with its own learning rate.

    Attributes:
        train: ``head`` leaves the trunk as it is; a number frees so many blocks of the trunk, those
            next to the head, as well; ``all`` frees everything.
        layer_decay: Factor of the learning rate from each block to the one before it; the head
            learns at the full rate.
        batch_norm: Whose running statistics move: ``follow``, those of the blocks that are
            trained; ``frozen``, nobody's; ``train``, everybody's.
        schedule: How the rate rises and falls over the phase's steps.
    """

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    train: Literal["head", "all"] | Annotated[int, Field(ge=1)] = "all"
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    batch_norm: Literal["follow", "frozen", "train"] = "follow"
    schedule: Annotated[Options, schedules.field()] = schedules.options("cosine")(name="cosine")


def _rising(workers: int | tuple[int, int]) -> int | tuple[int, int]:
    if not isinstance(workers, int) and workers[0] > workers[1]:
        raise ValueError(f"the fewest workers, {workers[0]}, are more than the most, {workers[1]}")
    return workers


_Count = Annotated[int, Field(ge=1)]
Workers = Annotated[_Count | tuple[_Count, _Count], AfterValidator(_rising)]


class Scaling(Node):
    """
    How many workers, and what each holds. The same recipe runs on one CPU or on many GPUs.

    Attributes:
        workers: A number, or the fewest and the most: ``[1, 4]`` goes on with what the cluster has
            when nodes are lost, and takes in those that join.
        micro_batch: Films that a worker takes at once; a worker's share of a batch that is larger
            is gone through in parts whose gradients add up. All at once if not named.
        compile: Compile the network (``torch.compile``); the first steps take minutes.
        channels_last: Lay activations out by pixel, which convolutions of CPUs and GPUs prefer.
        deterministic: Refuse operations whose result depends on the order of threads.
        checkpoint_minutes: Save within an epoch too when so long has passed; 0 saves after epochs
            only.
        storage_patience_s: How long to wait for a run folder that can't be written to.
        gpu: One GPU a worker (nccl); otherwise CPU (gloo).
        max_failures: How many times dead workers are replaced before the run gives up.
        loader_threads: Threads of a worker that assemble the next batches; 0 assembles a batch
            when it is asked for.
        feeding: ``cache`` decodes the films once, to a file that the workers of a node share;
            ``stream`` decodes them in every epoch, in tasks of Ray Data. ``auto`` takes the cache
            where disk and memory hold it.
        cache: Folder for decoded films on each node; the user's cache folder if none is named.
        stream_cpus: CPUs of a worker's data tasks, beside ``cpus_per_worker``.
    """

    workers: Workers = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1
    gpu: bool = False
    max_failures: Annotated[int, Field(ge=0)] = 2
    loader_threads: Annotated[int, Field(ge=0)] = 1
    feeding: Literal["auto", "cache", "stream"] = "auto"
    cache: Path | None = None
    stream_cpus: Annotated[int, Field(ge=1)] = 1
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    compile: bool = False
    channels_last: bool = True
    deterministic: bool = False
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 10.0
    storage_patience_s: Annotated[float, Field(ge=0)] = 300.0

    @property
    def fewest(self) -> int:
        """Workers that a run needs to go on."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most(self) -> int:
        """Workers that a run takes where the cluster has room."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]


class Recipe(Node):
    """
    Everything that decides what is learned, and ``scaling``, which must not.

    Attributes:
        preprocess: ``mean`` and ``std`` may be the word ``weights``: the numbers that the model's
            published weights were trained with take its place at once.
        batch_size: Films a step over all workers together.
        sampling: ``stratified`` gives every batch the set's share of each class; ``weighted``
            draws with replacement, each class as often; ``shuffle`` is a plain permutation.
        stack_imbalance: Allow ``weighted`` together with a loss that answers imbalance too.
        shuffle_window: About how many films are in free order at a time; between such windows
            the table's row groups are. A set smaller than this is in free order as a whole.
        selection: The figure on validation films that ranks epochs; ``auto`` is sensitivity at
            the rule's specificity floor for two classes, accuracy for more.
        patience: Epochs without a better score before the run stops.
        min_change: By how much a score must be better to count as better for ``patience``.
        mix: Blend films of a batch and their labels (mixup, CutMix).
        clip_norm: Longest gradient, as its 2-norm over all parameters; longer ones are scaled down.
        ema_decay: Keep an exponential moving average of the weights, and measure and keep that one.
        precision: ``bf16`` and ``fp16`` compute convolutions in 16 bits (autocast), the latter
            with a scaled loss; weights stay float32.
    """

    preprocess: Preprocess
    augmentation: Augmentation | None = Augmentation()
    model: Model
    loss: Annotated[Options, losses.field()]
    optimizer: Annotated[Options, optimizers.field()]
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    batch_size: Annotated[int, Field(ge=1)] = 32
    sampling: Literal["shuffle", "stratified", "weighted"] = "stratified"
    stack_imbalance: bool = False
    shuffle_window: Annotated[int, Field(ge=1)] = 16384
    selection: Selection = "auto"
    patience: Annotated[int, Field(ge=1)] = 5
    min_change: Annotated[float, Field(ge=0)] = 0.0
    mix: Mix | None = None
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    rule: ClinicalRule = ClinicalRule()
    seed: Annotated[int, Field(ge=0)] = 0
    scaling: Scaling = Scaling()

    @model_validator(mode="before")
    @classmethod
    def _normalised_as_the_weights_were(cls, raw: Any) -> Any:
        preprocess = raw.get("preprocess") if isinstance(raw, Mapping) else None
        if not isinstance(preprocess, Mapping):
            return raw
        words = [preprocess.get(key) == "weights" for key in ("mean", "std")]
        if not any(words):
            return raw
        if not all(words):
            raise ValueError(
                "preprocess: weights stands for mean and std together, here one of them is "
                f"{preprocess.get('std' if words[0] else 'mean')!r}: write weights, or numbers, "
                "for both"
            )
        mean, std = _normalisation(raw.get("model"), 1 if _gray(preprocess) else 3)
        return {**raw, "preprocess": {**preprocess, "mean": mean, "std": std}}

    @model_validator(mode="after")
    def _every_worker_has_films(self) -> "Recipe":
        if self.batch_size < self.scaling.most:
            raise ValueError(
                f"batch_size {self.batch_size} leaves some of {self.scaling.most} workers without "
                "a film: take a larger batch or fewer workers"
            )
        return self

    @model_validator(mode="after")
    def _imbalance_is_answered_once(self) -> "Recipe":
        balances = getattr(self.loss, "balance", False) or self.loss.name == "focal"
        if self.sampling == "weighted" and balances and not self.stack_imbalance:
            raise ValueError(
                f"sampling weighted and loss {self.loss.name!r} both answer the classes' "
                "imbalance, so rare classes would count twice: take sampling stratified or a loss "
                "without balance, or set stack_imbalance: true"
            )
        return self

    @model_validator(mode="after")
    def _patience_outlasts_the_plateau(self) -> "Recipe":
        for phase in self.phases:
            waits = getattr(phase.schedule, "patience", None)
            if waits is not None and self.patience <= waits:
                raise ValueError(
                    f"patience {self.patience} ends the run before schedule {phase.schedule.name} "
                    f"has waited its {waits} epochs: give it more than {waits}"
                )
        return self

    @property
    def epochs(self) -> int:
        """Of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def identity(self, data_digest: str) -> str:
        """
        Name of the run: the same recipe on the same data has the same name and resumes.

        Scaling is left out, so that a run can go on with other workers.
        """
        return f"{files.digest(self.learned)[:8]}-{data_digest[:8]}"

    @property
    def learned(self) -> dict[str, Any]:
        """What decides what is learned: all but ``scaling``; plain values."""
        return {key: value for key, value in self.plain().items() if key != "scaling"}


def _gray(preprocess: Mapping[str, Any]) -> bool:
    return bool(preprocess.get("color", Preprocess.model_fields["color"].default) == "L")


def _normalisation(model: Any, channels: int) -> Normalisation:
    """Numbers, so that a run's name, its bundle and what serves it hold no word to look up."""
    try:
        options: Options = TypeAdapter(Model).validate_python(model)
    except ValidationError:
        # The model's own error is reported when the recipe is checked; a second one here, about
        # a word that is right, would only lead astray.
        return (0.0,) * channels, (1.0,) * channels
    try:
        found = backbone.normalisation(options, channels)
    except ConfigError as cause:
        raise ValueError(str(cause)) from cause
    if found is None:
        raise ValueError(
            f"preprocess: mean and std are weights, but {_without_record(options)}: write "
            f"numbers, one a channel, such as mean: {[0.5] * channels}, std: {[0.25] * channels}"
        )
    return found


def _without_record(options: Options) -> str:
    weights = options.keywords().get("weights")
    if weights is None:
        return f"model {options.name!r} has no published weights"
    if weights == "none":
        return f"model {options.name!r} starts from scratch (weights: none)"
    return f"no normalisation is recorded for weights {weights!r} of model {options.name!r}"


def _located(value: Path | str) -> Path | str:
    return value if "://" in str(value) else Path(value)


# A path, or the URI of a table that lies elsewhere (``s3://``).
Location = Annotated[Path | str, AfterValidator(_located)]


class Tracking(Node):
    """
    Where else a run is written down, epoch by epoch.

    Attributes:
        tensorboard: Folder for event files, one sub-folder a run.
        mlflow: Tracking URI: ``file:FOLDER``, ``sqlite:///FILE`` or a server's.
        experiment: Name that MLflow groups runs by.
    """

    tensorboard: Path | None = None
    mlflow: str | None = None
    experiment: str = "lucency"


class TrainConfig(Node):
    """
    A recipe, the table to learn from and the folder for runs.

    Without ``fresh`` and ``resume``, a run that was begun goes on and one that was not begins.

    Attributes:
        name: Of the run's folder; from the digests of recipe and data if none is given.
        fresh: Throw away what an earlier run of the same name left, and start anew.
        resume: Go on with a run that was begun, and refuse to begin one.
    """

    table: Location
    runs: Path
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    fresh: bool = False
    resume: bool = False
    tracking: Tracking = Tracking()
    recipe: Recipe

    @model_validator(mode="after")
    def _begins_or_goes_on(self) -> "TrainConfig":
        if self.fresh and self.resume:
            raise ValueError("fresh begins anew and resume goes on: give one of them")
        return self
