"""
Maps of what moved an answer, one function a method; all but the network's own are Captum's.

A map is float32, h x w at the size of the input, for one class: more heat, more of a say. Only
``cam`` and ``integrated_gradients`` have signs; below zero is what spoke against the class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, LayerGradCam, Saliency
from torch import Tensor

from lucency.explain.network import Network
from lucency.models.base import Explained

Maps = npt.NDArray[np.float32]
Grain = Literal["patches", "pixels"]
STEPS = 24  # of the integral (Gauss-Legendre)


@dataclass(frozen=True)
class Method:
    """
    One way to explain an answer.

    Attributes:
        maps: Network, images n x c x h x w and the logits n to explain to maps n x h x w.
        source: Who published it, and where.
        grain: What it tells apart, which chance must be given as well: ``patches`` of the last
            feature map, or ``pixels``.
        pooled: Whether it asks for a pooled head.
    """

    maps: Callable[[Network, Tensor, Tensor], Tensor]
    source: str
    grain: Grain
    pooled: bool = False


def of(network: Network) -> dict[str, Method]:
    """The methods that this network can be explained by."""
    pooled = "maps" in Explained(network.model).outputs
    return {name: method for name, method in METHODS.items() if pooled or not method.pooled}


def maps(network: Network, method: Method, images_nchw: Tensor, classes_n: Tensor) -> Maps:
    """Maps n x h x w of one batch, each for its class."""
    # Captum would set the flag by itself, and warn of it.
    images_nchw = images_nchw.detach().clone().requires_grad_()
    found = method.maps(network, images_nchw, network.logits_of(classes_n))
    return np.asarray(found.detach().numpy(), np.float32)


@torch.no_grad()
def _cam(network: Network, images_nchw: Tensor, logits_n: Tensor) -> Tensor:
    _, maps_nkhw = Explained(network.model)(images_nchw)
    return _enlarged(maps_nkhw[torch.arange(len(logits_n)), logits_n][:, None], images_nchw)


def _grad_cam(network: Network, images_nchw: Tensor, logits_n: Tensor) -> Tensor:
    method = LayerGradCam(network.model, network.layer)
    found = method.attribute(images_nchw, target=logits_n, relu_attributions=True)
    return _enlarged(found, images_nchw)


def _integrated_gradients(network: Network, images_nchw: Tensor, logits_n: Tensor) -> Tensor:
    found = IntegratedGradients(network.model).attribute(
        images_nchw,
        # A black film, as in the paper.
        baselines=network.black_c[None, :, None, None].expand_as(images_nchw),
        target=logits_n,
        n_steps=STEPS,
        # All steps of all films at once would hold their activations together.
        internal_batch_size=2 * len(images_nchw),
    )
    summed: Tensor = found.sum(dim=1)
    return summed


def _saliency(network: Network, images_nchw: Tensor, logits_n: Tensor) -> Tensor:
    found: Tensor = Saliency(network.model).attribute(images_nchw, target=logits_n, abs=True)
    return found.amax(dim=1)


def _enlarged(maps_n1hw: Tensor, images_nchw: Tensor) -> Tensor:
    side = images_nchw.shape[-2:]
    return F.interpolate(maps_n1hw, side, mode="bilinear", align_corners=False)[:, 0]


METHODS = {
    "cam": Method(
        _cam, "class-activation map, Zhou et al., 2016, arXiv:1512.04150", "patches", pooled=True
    ),
    "grad_cam": Method(_grad_cam, "Selvaraju et al., 2017, arXiv:1610.02391", "patches"),
    "integrated_gradients": Method(
        _integrated_gradients, "Sundararajan et al., 2017, arXiv:1703.01365", "pixels"
    ),
    "saliency": Method(_saliency, "Simonyan et al., 2014, arXiv:1312.6034", "pixels"),
}
