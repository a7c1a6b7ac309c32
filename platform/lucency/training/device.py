"""Where a rank computes, a CPU or a GPU, and how: precision, memory layout, what it costs."""

import os
import resource
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pynvml
import torch
from torch import Tensor, nn

from lucency.config.train import Recipe

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Device:
    """
    One device by a recipe.

    Attributes:
        torch: As torch names it.
        layout: Memory format of activations and convolution weights.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        scaling = recipe.scaling
        self.torch = device
        self.gpu = device.type == "cuda"
        self.layout = torch.channels_last if scaling.channels_last else torch.contiguous_format
        self._dtype = _DTYPES.get(recipe.precision)
        if self.gpu:
            torch.cuda.set_device(device)
        if scaling.deterministic:
            # cuBLAS reads it when it is first used.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Only where it changes something: torch loads its compiler first, which takes seconds.
        if torch.are_deterministic_algorithms_enabled() != scaling.deterministic:
            torch.use_deterministic_algorithms(scaling.deterministic)
        torch.backends.cudnn.benchmark = not scaling.deterministic
        self._counter = _energy_counter(device) if self.gpu else None

    def holding(self, model: nn.Module) -> None:
        """Move a network here, in the recipe's layout."""
        model.to(self.torch, memory_format=self.layout)  # type: ignore[call-overload]

    def seed(self, number: int) -> None:
        """
        Seed what is drawn here, on the host and on the GPU.

        ``torch.manual_seed`` also keeps, for each kind of device that was never started, a call
        with its stack trace for later: a millisecond a step, and memory that only grows.
        """
        torch.default_generator.manual_seed(number)
        if self.gpu:
            torch.cuda.manual_seed(number)

    def images(self, array_nchw: np.ndarray) -> Tensor:
        """A batch's inputs here, in the recipe's layout; a GPU's queue is not waited for."""
        return self._sent(array_nchw).contiguous(memory_format=self.layout)

    def labels(self, array_n: np.ndarray) -> Tensor:
        """Whole numbers here."""
        return self._sent(array_n)

    def autocast(self) -> AbstractContextManager[object]:
        """Convolutions and products in the recipe's precision."""
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self.torch.type, dtype=self._dtype)

    def peak_memory_mib(self) -> float:
        """Of the GPU where there is one, else of this process."""
        if self.gpu:
            return torch.cuda.max_memory_allocated(self.torch) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def energy_j(self) -> float | None:
        """What the GPU has used since its driver was loaded, where it says so."""
        if self._counter is None:
            return None
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self._counter)) / 1000

    def _sent(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        if not self.gpu:
            return tensor
        return tensor.pin_memory().to(self.torch, non_blocking=True)


def _energy_counter(device: torch.device) -> object | None:
    """NVML's handle of a GPU that counts its energy, None for any other."""
    try:
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle: object = pynvml.nvmlDeviceGetHandleByUUID(uuid.encode())
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None
    return handle
