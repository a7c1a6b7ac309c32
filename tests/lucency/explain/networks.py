"""Networks whose reasons are known, for tests of explanations."""

import torch
from torch import Tensor, nn

from lucency.explain.network import Network, prepare
from lucency.models.base import Classifier, PooledClassifier, PooledHead

SIDE = 16


def bright(outputs: int = 1) -> Network:
    """Answers by pixels above 0.5 alone: gray ones are no reason."""
    convolution = nn.Conv2d(1, outputs, kernel_size=1)
    head = PooledHead(outputs, outputs, dropout=0.0)
    with torch.no_grad():
        convolution.weight.fill_(1.0)
        assert convolution.bias is not None
        convolution.bias.fill_(-0.5)
        head.linear.weight.copy_(64.0 * torch.eye(outputs))
        head.linear.bias.zero_()
    features = nn.Sequential(convolution, nn.ReLU(inplace=True), nn.AvgPool2d(2))
    return prepare(PooledClassifier(features, head), (1, SIDE, SIDE), torch.zeros(1))


def halves() -> Network:
    """The first class reads the left half of a film, the second one the right half."""
    dense = nn.Linear(SIDE * SIDE // 4, 2, bias=False)
    weight = torch.zeros(2, SIDE // 2, SIDE // 2)
    weight[0, :, : SIDE // 4] = 1.0
    weight[1, :, SIDE // 4 :] = 1.0
    with torch.no_grad():
        dense.weight.copy_(weight.flatten(1))
    head = nn.Sequential(nn.Flatten(), dense)
    return prepare(Classifier(nn.AvgPool2d(2), head), (1, SIDE, SIDE), torch.zeros(1))


def spot(rows: slice = slice(4, 8), columns: slice = slice(8, 12)) -> Tensor:
    """One gray film with one bright spot, 1 x 1 x h x w."""
    film = torch.full((1, 1, SIDE, SIDE), 0.2)
    film[:, :, rows, columns] = 1.0
    return film
