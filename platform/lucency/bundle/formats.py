"""
A trained network in torch's own exchange formats, each checked by loading it back.

They serve nobody here: they are for those who take the network elsewhere.
"""

import io
import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import nn

from lucency.bundle.export import agree
from lucency.models.base import Classifier, Explained

Format = Literal["torchscript", "exported_program"]
FOLDER = "formats/"


def files(
    model: Classifier, films_nchw: np.ndarray, formats: tuple[Format, ...]
) -> dict[str, bytes]:
    """
    Each format as a file of the bundle, by its path there.

    Args:
        films_nchw: Preprocessed films on which the file, loaded back, is held against the network.

    Raises:
        ArtifactError: their probabilities differ by more than ``export.PARITY``.
    """
    module = Explained(model).eval()
    found = {}
    for name in formats:
        path, write, read = _FORMATS[name]
        # Of two films: of one, the batch would be taken for a constant.
        example = torch.zeros(2, *films_nchw.shape[1:])
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecations, not ours to mend
            data = write(module, example)
            images_nchw = torch.from_numpy(films_nchw)
            expected, given = module(images_nchw), read(data)(images_nchw)
        agree(name, expected[0].numpy(), given[0].numpy())
        found[path] = data
    return found


def _to_torchscript(module: nn.Module, example: torch.Tensor) -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.freeze(torch.jit.trace(module, example)), stream)
    return stream.getvalue()


def _from_torchscript(data: bytes) -> Callable[..., tuple[torch.Tensor, ...]]:
    loaded: Callable[..., tuple[torch.Tensor, ...]] = torch.jit.load(io.BytesIO(data))
    return loaded


def _to_exported(module: nn.Module, example: torch.Tensor) -> bytes:
    stream = io.BytesIO()
    shapes = {"images_nchw": {0: torch.export.Dim("n")}}
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=shapes), stream)
    return stream.getvalue()


def _from_exported(data: bytes) -> Callable[..., tuple[torch.Tensor, ...]]:
    return torch.export.load(io.BytesIO(data)).module()


_FORMATS = {
    "torchscript": (f"{FOLDER}model.ts", _to_torchscript, _from_torchscript),
    "exported_program": (f"{FOLDER}model.pt2", _to_exported, _from_exported),
}
