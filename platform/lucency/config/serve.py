"""What the service may be told: ``serve/app.py:build`` takes this as its arguments."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lucency.config.node import Node
from lucency.images import MAX_PIXELS
from lucency.rollout.plan import Plan

Role = Literal["predict", "label", "operate"]
# The short name of a site, and of a view as DICOM has them; letter for letter in both.
SITE = r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}"
VIEW = r"[A-Z0-9][A-Z0-9 _]{0,15}"
# Pairs of them, with "other": each is a drift window and some forty series in every replica.
_MOST_GROUPS = 64
# A number of requests in any window of that length.
Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$")]


class Batching(Node):
    """
    How many films share one run of the graph, and how long the first waits for others.

    Alone by default: on a CPU a run of eight costs 5 % less a film in float32 and 11 to 18 % less
    in int8, but a film that comes alone waits ``wait_s`` for nobody.
    """

    max_batch_size: Annotated[int, Field(ge=1)] = 1
    wait_s: Annotated[float, Field(ge=0, le=1)] = 0.005


class Replicas(Node):
    """
    Autoscaling and queues.

    Attributes:
        max_ongoing_requests: In one replica at a time; less than a batch would never fill it.
        max_queued_requests: Waiting in front of all replicas; more are answered 429.
        upscale_delay_s: For which more work than the target lasts before replicas are added; a
            new one answers some seconds later, warm.
        downscale_delay_s: For which less work lasts before replicas are given up; what they hold
            is finished first.
    """

    min_replicas: Annotated[int, Field(ge=1)] = 1
    max_replicas: Annotated[int, Field(ge=1)] = 2
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 4
    max_ongoing_requests: Annotated[int, Field(ge=1)] = 32
    max_queued_requests: Annotated[int, Field(ge=1)] = 64
    upscale_delay_s: Annotated[float, Field(ge=0)] = 10
    downscale_delay_s: Annotated[float, Field(ge=0)] = 300
    cpus: Annotated[float, Field(gt=0)] = 1

    @model_validator(mode="after")
    def _ordered(self) -> "Replicas":
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is over max_replicas {self.max_replicas}"
            )
        return self


class Explanations(Node):
    """
    Replicas that draw heat maps and nothing else, at a lower priority than predictions.

    Attributes:
        patience_s: For a map; then the request is answered 503.
    """

    scaling: Replicas = Replicas()
    patience_s: Annotated[float, Field(gt=0)] = 10


class Service(Node):
    """
    How films are answered, wherever the models are.

    Attributes:
        max_body_bytes: A larger request is refused while it is being read.
        max_pixels: A larger film is refused by its header.
        max_batch_films: In one request; together they keep to ``max_body_bytes``.
        threads: Inference threads of a replica.
        drift_window: Films whose distance to the reference is shown.
        sites: Where films come from, as requests say in the header Lucency-Site: drift is told
            for each of them. Any other name, and none, counts as "other".
        views: Of the films, in the header Lucency-View, alike: PA, AP, LATERAL.
        explain: Where heat maps are drawn; left out (null), by the replicas that answer.
        variant: Arithmetic that answers: ``auto`` is the fastest that passed on test films and
            runs on the replica's machine, ``fp32`` the graph itself.
    """

    max_body_bytes: Annotated[int, Field(ge=1024)] = 20 * 2**20
    max_pixels: Annotated[int, Field(ge=1024)] = MAX_PIXELS
    max_batch_films: Annotated[int, Field(ge=1, le=256)] = 16
    batching: Batching = Batching()
    scaling: Replicas = Replicas()
    threads: Annotated[int, Field(ge=1)] = 1
    drift_window: Annotated[int, Field(ge=100)] = 500
    sites: tuple[Annotated[str, Field(pattern=f"^{SITE}$")], ...] = ()
    views: tuple[Annotated[str, Field(pattern=f"^{VIEW}$")], ...] = ()
    explain: Explanations | None = None
    variant: str = "auto"

    @model_validator(mode="after")
    def _batch_can_fill(self) -> "Service":
        if self.scaling.max_ongoing_requests < self.batching.max_batch_size:
            raise ValueError(
                f"scaling.max_ongoing_requests {self.scaling.max_ongoing_requests} is under "
                f"batching.max_batch_size {self.batching.max_batch_size}: a batch could never fill"
            )
        return self

    @model_validator(mode="after")
    def _groups_are_few(self) -> "Service":
        for name, values in (("sites", self.sites), ("views", self.views)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names one of {list(values)} twice")
        groups = (len(self.sites) + 1) * (len(self.views) + 1)
        if groups > _MOST_GROUPS:
            raise ValueError(
                f"sites and views make {groups} pairs with their rest, at most {_MOST_GROUPS} are "
                "watched: leave out those that need no alarm of their own, they count as other"
            )
        return self


class Tokens(Node):
    """
    Bearer tokens (JWT) of an identity provider.

    Attributes:
        issuer: Their ``iss``, letter for letter.
        audience: One of their ``aud``: a token made for another service is none for this one.
        jwks: The provider's public keys: a JWKS or PEM file, or an https address of a JWKS.
        roles_claim: Where the roles stand, as a list or words in a text; dots lead into objects.
        subject: How the audit log names a caller; a hash keeps names of people out of it.
        refresh_s: Seconds for which a fetched key set is good.
    """

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    jwks: Annotated[str, Field(min_length=1)]
    roles_claim: Annotated[str, Field(min_length=1)] = "roles"
    subject: Literal["hashed", "plain"] = "hashed"
    refresh_s: Annotated[float, Field(ge=30, le=86_400)] = 300

    @field_validator("jwks")
    @classmethod
    def _https(cls, value: str) -> str:
        if "://" in value and not value.startswith("https://"):
            raise ValueError(f"found {value!r}, expected a file or an https:// address")
        return value


class Access(Node):
    """
    Who may call.

    Attributes:
        open: Anyone who reaches the port may do anything; for a port on loopback alone.
        keys: File that ``python -m serve.keys`` writes; else the one that the environment variable
            LUCENCY_API_KEYS names.
        rate: Of a caller whose key has none of its own.
        rates_storage: Where calls are counted: null in each replica by itself, or one place for
            all (``redis://host:6379``, with the package coredis).
        hsts_s: Seconds for which browsers shall insist on https; 0 says nothing of it.
    """

    open: bool = False
    keys: Path | None = None
    tokens: Tokens | None = None
    rate: Rate = "600/minute"
    rates_storage: str | None = None
    hsts_s: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _open_or_closed(self) -> "Access":
        if self.open and (self.keys or self.tokens):
            raise ValueError("open is true beside keys or tokens, which nobody would be asked for")
        return self


class Retention(Node):
    """
    Days after which a log is deleted, day by day; null keeps it.

    Each is recorded in what stays. Six years for what was decided: 45 CFR 164.316(b)(2).
    """

    audit_days: Annotated[int, Field(ge=1)] | None = 2192
    predictions_days: Annotated[int, Field(ge=1)] | None = 365
    labels_days: Annotated[int, Field(ge=1)] | None = 2192


class LateLabels(Node):
    """
    How late labels are read beside the answers, for gauges and for the rule of a trial.

    Attributes:
        every_s: Between two looks at the logs, in each replica.
        days: How far to look back.
    """

    every_s: Annotated[float, Field(gt=0)] = 60
    days: Annotated[int, Field(ge=1)] = 365


class Logs(Node):
    """
    What is written down of every answer; no pixels, no file names, no header text.

    Attributes:
        folder: Shared by all replicas: audit log, prediction log and late labels.
        required: While the log can't be written films are refused with 503; otherwise they are
            answered, counted as unlogged, and the alarm is raised.
        durable: An answer is sent when its line is on the disk, not before.
        key: File of the secret under which films and names are hashed, else the environment
            variable LUCENCY_LOG_KEY; else one is made in the folder, where who may write the logs
            may read it.
        part_rows: Predictions of one Parquet file, about.
        part_s: Seconds after which they are written to one, however few.
        anchor_s: Between two records of how far a journal has come.
        late: How sensitivity by late labels is kept up to date.
    """

    folder: Path
    required: bool = True
    durable: bool = True
    key: Path | None = None
    retention: Retention = Retention()
    part_rows: Annotated[int, Field(ge=1)] = 5000
    part_s: Annotated[float, Field(gt=0)] = 300
    anchor_s: Annotated[float, Field(gt=0)] = 600
    late: LateLabels = LateLabels()

    @model_validator(mode="after")
    def _required_is_durable(self) -> "Logs":
        if self.required and not self.durable:
            raise ValueError(
                "required is true and durable false: an answer would be out before its line is "
                "known to be written; set both, or required: false"
            )
        return self


class ServeConfig(Service):
    """
    A service, who may call it, and the store whose alias it answers with.

    Attributes:
        store: A folder, or the URI of one in a bucket.
        alias: Who answers; where it moves, replicas follow without a restart.
        watch_s: Between two looks at the store, on average.
        rollout: How a challenger is tried; left out (null), it waits until somebody promotes it.
        logs: Left out (null), nothing is written down and late labels have nowhere to go.
    """

    store: str | Path
    alias: str = "champion"
    watch_s: Annotated[float, Field(gt=0)] = 5
    rollout: Plan | None = None
    access: Access = Access()
    logs: Logs | None = None


def is_loopback(host: str | None) -> bool:
    """Whether a listener on this host can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
