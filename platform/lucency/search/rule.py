"""
When a trial of a search stops: state in, decision and reason out.

The unit is the patient. A trial is worth what its best epoch so far is worth, as that checkpoint is
the one kept. It stops when its upper bound is under the sensitivity floor, or under the lower bound
of the leader's at the same epoch. In rungs, as in ASHA (Li et al., 2020,
https://arxiv.org/abs/1810.05934), one in ``eta`` is promoted; ASHA cuts all others, however little
tells them apart. Here the others are held against the leader patient by patient: who is surely
behind stops; who is not, stops only in the first half, and when the budget is spent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from lucency.config.stopping import Stopping
from lucency.evaluation.intervals import Interval
from lucency.evaluation.rule import ClinicalRule
from lucency.search import bounds

Action = Literal["continue", "promote", "stop"]


@dataclass(frozen=True)
class Terms:
    """
    What a search's trials are judged by.

    Attributes:
        epochs: Of a trial that runs to the end.
    """

    stopping: Stopping
    clinical: ClinicalRule
    epochs: int

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are ranked: the grace, and ``eta`` times as late each next one."""
        found, at = [], float(self.stopping.grace)
        while round(at) < self.epochs:
            found.append(round(at))
            at *= self.stopping.eta
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, eq=False)
class Measure:
    """
    What one epoch of a trial reached on the validation films.

    Attributes:
        epoch: From 1.
        figure: Name of the headline figure, as ``evaluation.selection.headline`` has it.
        patients: Those that the figure counts: of two classes, the ones with a positive film.
        replicates_r: The figure of each bootstrap draw, float32; see ``bounds.replicates``.
    """

    run: str
    epoch: int
    figure: str
    interval: Interval
    patients: int
    replicates_r: np.ndarray

    @cached_property
    def standing(self) -> float:
        """
        What trials are ranked by: the mean of the draws, 0..1.

        Each draw has a threshold of its own, so films near the threshold count by how near they
        are: less chance than in the figure, which jumps by one film at one threshold.
        """
        return float(self.replicates_r.mean(dtype=np.float64))


# What arrived so far, of each run in order of epochs.
State = Mapping[str, Sequence[Measure]]


@dataclass(frozen=True)
class Decision:
    """
    What becomes of a trial after an epoch.

    Attributes:
        reason: One sentence: which bound against which number, at which epoch, of how many
            patients.
        interval: The figure at this epoch.
        standing: What ranks this epoch among all of the search; see ``Measure.standing``.
        leader: The trial that it was held against, if any.
        against: The number that decided, if any: the floor, the leader's bound, the rung's cut.
    """

    run: str
    epoch: int
    action: Action
    reason: str
    figure: str
    interval: Interval
    patients: int
    standing: float
    leader: str | None = None
    against: float | None = None

    @property
    def stop(self) -> bool:
        """Whether the trial ends here."""
        return self.action == "stop"


def measure(
    terms: Terms,
    run: str,
    epoch: int,
    labels_n: np.ndarray,
    logits_nk: np.ndarray,
    patients_n: np.ndarray,
) -> Measure:
    """One epoch's figure, its bounds and its draws, from the predictions on all films."""
    floor, confidence = terms.clinical.specificity_floor, terms.stopping.confidence
    counted = labels_n == 1 if logits_nk.shape[1] == 1 else np.ones(labels_n.size, dtype=bool)
    drawn_r = bounds.replicates(labels_n, logits_nk, patients_n, floor)
    figure, interval = bounds.headline(labels_n, logits_nk, patients_n, drawn_r, floor, confidence)
    patients = int(np.unique(patients_n[counted]).size)
    return Measure(run, epoch, figure, interval, patients, drawn_r.astype(np.float32))


def decide(terms: Terms, state: State, now: Measure) -> Decision:
    """
    The decision after ``now``, given what arrived before.

    Only trials that have reached this epoch are compared, by what they had reached at it; so it
    depends on the order of arrival as ASHA does, and on nothing else.
    """
    return _Case(terms, state, now).decision()


class _Case:
    """One trial at one epoch, and those it is held against."""

    def __init__(self, terms: Terms, state: State, now: Measure) -> None:
        self.terms, self.state, self.now = terms, state, now
        self.best = _best([*state.get(now.run, ()), now], now.epoch)
        self.others = {
            run: _best(curve, now.epoch)
            for run, curve in state.items()
            if run != now.run and curve and curve[-1].epoch >= now.epoch
        }

    def decision(self) -> Decision:
        now, stopping = self.now, self.terms.stopping
        if np.isnan(self.best.standing):
            return self._says("continue", f"{now.figure} can't be measured on these films")
        if now.epoch >= self.terms.epochs:
            return self._says("continue", f"epoch {now.epoch} is the last")
        if now.epoch < stopping.grace:
            return self._says("continue", f"epoch {now.epoch} of {stopping.grace} in grace")
        return self._floor() or self._leader() or self._rung() or self._between()

    def _floor(self) -> Decision | None:
        floor = self.terms.clinical.sensitivity_floor
        if self.best.interval.upper >= floor:
            return None
        return self._says("stop", f"{self._upper()} is under the floor {floor:g}", against=floor)

    def _leader(self) -> Decision | None:
        if not self.others:
            return None
        leader = self._first()
        bound = leader.interval.lower
        if self.best.interval.upper >= bound:
            return None
        reason = f"{self._upper()} is under the lower bound {bound:.4f} of leader {leader.run}"
        return self._says("stop", reason, leader=leader.run, against=bound)

    def _rung(self) -> Decision | None:
        if not self._due():
            return None
        if not self.others:
            return self._says("promote", f"the first trial in the rung of epoch {self.now.epoch}")
        leader, eta = self._first(), self.terms.stopping.eta
        cut = float(np.quantile([other.standing for other in self.others.values()], 1 - 1 / eta))
        rung = f"rung of epoch {self.now.epoch}, {len(self.others) + 1} trials"
        ranked = f"{rung}: mean draw {self.best.standing:.4f} of {self.now.figure}"
        if self.best.standing >= cut:
            reason = f"{ranked} is among the best 1 in {eta:g} (cut {cut:.4f})"
            return self._says("promote", reason, leader=leader.run, against=cut)
        upper, paired = self._paired(leader)
        if upper < 0:
            reason = f"{rung}: {paired} is under 0"
            return self._says("stop", reason, leader=leader.run, against=0.0)
        reason = f"{ranked} is under the cut {cut:.4f}; {paired} is not under 0"
        if 2 * self.now.epoch > self.terms.epochs:
            # Late, what is left are the best, too alike to be ranked, and few epochs are saved.
            reason = f"{reason}, and more than half of its epochs are spent"
            return self._says("promote", reason, leader=leader.run, against=cut)
        spent, granted = self._budget()
        action: Action = "stop" if spent >= granted else "promote"
        reason = f"{reason}, and {spent} epochs of {granted:.0f} that the budget grants are spent"
        return self._says(action, reason, leader=leader.run, against=cut)

    def _paired(self, leader: Measure) -> tuple[float, str]:
        """Upper bound of what the trial is ahead of the leader, and the words for it."""
        confidence = self.terms.stopping.confidence
        ahead_r = self.best.replicates_r - leader.replicates_r
        upper = float(np.quantile(ahead_r, (1 + confidence) / 2))
        return upper, (
            f"the upper {confidence:.0%} bound {upper:+.4f} of its difference to leader "
            f"{leader.run} on the same {self.now.patients} patients"
        )

    def _due(self) -> bool:
        """Whether a rung lies here; or before, where the trial was away when it was due."""
        before = max((each.epoch for each in self.state.get(self.now.run, ())), default=0)
        return any(before < rung <= self.now.epoch for rung in self.terms.rungs)

    def _between(self) -> Decision:
        later = [rung for rung in self.terms.rungs if rung > self.now.epoch]
        ahead = f"the next rung is epoch {later[0]}" if later else "all rungs are passed"
        return self._says("continue", f"{self._upper()} is under no bound; {ahead}")

    def _first(self) -> Measure:
        """The leader; of equal trials the one that came first."""
        return max(self.others.values(), key=lambda other: other.standing)

    def _budget(self) -> tuple[int, float]:
        """Epochs spent, this one included, and granted to the trials that have begun."""
        begun = len(self.state.keys() | {self.now.run})
        spent = 1 + sum(len(curve) for curve in self.state.values())
        return spent, self.terms.stopping.budget * self.terms.epochs * begun

    def _upper(self) -> str:
        best = self.best
        where = "" if best is self.now else f" (best epoch so far: {best.epoch})"
        return (
            f"at epoch {self.now.epoch} the upper {self.terms.stopping.confidence:.0%} bound "
            f"{best.interval.upper:.4f} of {best.figure} on {best.patients} patients{where}"
        )

    def _says(
        self,
        action: Action,
        reason: str,
        *,
        leader: str | None = None,
        against: float | None = None,
    ) -> Decision:
        now = self.now
        return Decision(
            now.run,
            now.epoch,
            action,
            reason,
            now.figure,
            now.interval,
            now.patients,
            now.standing,
            leader,
            against,
        )


def _best(curve: Sequence[Measure], epoch: int) -> Measure:
    """The measure that stands highest up to an epoch; of equal ones the first."""
    return max((each for each in curve if each.epoch <= epoch), key=lambda each: each.standing)
