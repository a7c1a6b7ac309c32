"""What a search cost, and what it saved."""

from collections.abc import Sequence
from dataclasses import dataclass

from lucency.search.outcome import Outcome
from lucency.search.winner import Winner


@dataclass(frozen=True)
class Cost:
    """
    Epochs and time of a search's trials.

    Attributes:
        trials: That ended, in whatever way.
        epochs: That they trained.
        saved: That stopped trials would have trained on to the end of the recipe; what patience
            saves is not counted, since it would end them without a search, too.
        seconds: Of training and measuring, added up over trials.
        confirming: Epochs of the winner's further runs.
    """

    trials: int
    stopped: int
    failed: int
    epochs: int
    saved: int
    seconds: float
    confirming: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], winner: Winner, planned: int) -> "Cost":
        """Add up; ``planned`` epochs has a trial that goes to the end."""
        stopped = [each for each in outcomes if each.state == "stopped"]
        return cls(
            trials=len(outcomes),
            stopped=len(stopped),
            failed=sum(each.state == "failed" for each in outcomes),
            epochs=sum(each.epochs for each in outcomes),
            saved=sum(planned - each.epochs for each in stopped),
            seconds=sum(each.seconds for each in outcomes),
            confirming=sum(each.epochs for each in winner.confirmations),
        )

    @property
    def share_saved(self) -> float:
        """Of the epochs that all trials together would have taken."""
        return self.saved / max(1, self.epochs + self.saved)

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.trials} trials, {self.stopped} stopped, {self.failed} failed: {self.epochs} "
            f"epochs, {self.saved} saved ({self.share_saved:.0%})"
        )
