"""One optimiser step on one rank: forward, loss, backward, clip, update."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lucency.config.train import Phase, Recipe
from lucency.learning.losses import losses
from lucency.learning.mix import Mixer
from lucency.learning.optimizers import optimizers
from lucency.models import blocks
from lucency.models.base import Classifier
from lucency.training.average import Average
from lucency.training.device import Device
from lucency.training.ranks import Ranks


class Learner:
    """
    A network that learns, in one phase.

    Built anew for each phase: DDP fixes at construction which gradients it waits for.

    Args:
        average: Follows the network, if the recipe has one.
        shares_k: Share of each class among the training films, on the device.
        ranks: That learn together. Their shares of a batch may differ in size.
    """

    def __init__(
        self,
        recipe: Recipe,
        phase: Phase,
        model: Classifier,
        average: Average | None,
        shares_k: Tensor,
        device: Device,
        ranks: Ranks,
    ) -> None:
        self.recipe = recipe
        self.average = average
        self.device = device
        self.world = ranks.world
        self._shares_k = shares_k
        self._mixer = Mixer(recipe.mix, len(shares_k)) if recipe.mix else None
        blocks.free(model, phase.train)
        self._trained = [each for each in model.parameters() if each.requires_grad]
        groups = blocks.groups(model, phase.layer_decay)
        self.optimizer = optimizers.build(recipe.optimizer, groups, phase.learning_rate)
        self.scaler = torch.amp.GradScaler(device.torch.type, enabled=recipe.precision == "fp16")
        # Running statistics are brought together at each beat, not at each step.
        self._wrapped: nn.Module = (
            DistributedDataParallel(model, broadcast_buffers=False) if self.world > 1 else model
        )
        # Compiled beside the plain module, whose names the checkpoints keep.
        self._network: Any = (
            torch.compile(self._wrapped) if recipe.scaling.compile else self._wrapped
        )

    def step(
        self, images_nchw: Tensor, labels_n: Tensor, *, rate: float, seed_number: int, done: int
    ) -> Tensor:
        """
        Learn from this rank's share of a batch.

        Args:
            rate: The learning rate; parameter groups have their own factors of it.
            seed_number: All that is drawn in this step follows from it.
            done: Steps of the whole run before this one.

        Returns:
            What the share adds to the batch's mean loss: a scalar, on the device.
        """
        self.device.seed(seed_number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        targets = labels_n
        if self._mixer is not None:
            images_nchw, targets = self._mixer(images_nchw, labels_n, seed_number)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(images_nchw, targets)
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._trained, self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(done)
        return loss

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """State dicts of optimiser and loss scale."""
        return self.optimizer.state_dict(), self.scaler.state_dict()

    def restore(self, optimizer: dict[str, Any], scaler: dict[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        self.optimizer.load_state_dict(optimizer)
        if scaler:  # empty where nothing is scaled, which torch refuses
            self.scaler.load_state_dict(scaler)

    def _backward(self, images_nchw: Tensor, targets: Tensor) -> Tensor:
        """Gradients of the batch's mean loss, whatever the sizes of shares and parts."""
        parts = _parts(len(images_nchw), self.recipe.scaling.micro_batch)
        batches = zip(images_nchw.split(parts), targets.split(parts), strict=True)
        total = torch.zeros((), device=self.device.torch)
        for number, (images, wanted) in enumerate(batches, 1):
            # DDP sends gradients with the last part; until then they add up on this rank.
            apart = self.world > 1 and number < len(parts)
            with self._wrapped.no_sync() if apart else nullcontext():  # type: ignore[operator]
                with self.device.autocast():
                    logits_nk = self._network(images)
                mean = losses.build(self.recipe.loss, logits_nk.float(), wanted, self._shares_k)
                loss = mean * (len(images) / self.recipe.batch_size)
                # DDP divides by the number of ranks: their shares are parts of one mean already.
                self.scaler.scale(loss * self.world).backward()
            total += loss.detach()
        return total


def _parts(films: int, most: int | None) -> list[int]:
    """Sizes of the parts of a share, as equal as can be: another size is compiled anew."""
    count = -(-films // (most or films))
    return [films // count + (number < films % count) for number in range(count)]
