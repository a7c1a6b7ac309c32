"""Small networks of every kind that the anatomy must read right."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """A wide branch, a strided shortcut, their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.one = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.two = nn.Conv2d(6, 6, 5, padding=2)
        self.short = nn.Conv2d(4, 6, 1, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        before = F.relu(self.stem(images))
        return F.relu(self.two(self.one(before)) + self.short(before))


class Concatenated(nn.Module):
    """Branches of different reach side by side, as in Inception, one of them off centre."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(2, 3, 1)
        self.wide = nn.Conv2d(2, 3, (1, 7), padding=(0, 3))
        self.aside = nn.Conv2d(2, 3, 3)

    def forward(self, images: Tensor) -> Tensor:
        aside = self.aside(F.pad(images, (2, 0, 1, 1)))
        return torch.cat([self.narrow(images), self.wide(images), aside], dim=1)


class Gated(nn.Module):
    """Squeeze-and-excitation after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 1)
        self.after = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        found = self.conv(images)
        gate = self.gate(found.mean((2, 3), keepdim=True)).sigmoid()
        seen: Tensor = self.after(found * gate)
        return seen


class ChannelsLast(nn.Module):
    """A linear layer over channels between two permutations, as in ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 4, stride=4)
        self.norm = nn.LayerNorm(4)
        self.mix = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, images: Tensor) -> Tensor:
        rows = self.conv(images).permute(0, 2, 3, 1)
        mixed: Tensor = self.scale * self.mix(self.norm(rows))
        return mixed.permute(0, 3, 1, 2)


class ByValue(nn.Module):
    """Control flow on a shape: torch.fx can't read it, torch.export can."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=2, dilation=2)
        self.pool = nn.MaxPool2d(2)
        self.linear = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        found = torch.relu_(self.conv(images))
        if images.shape[1] > 1:
            found = self.pool(found)
        logits: Tensor = self.linear(found.mean((2, 3)))
        return logits


class Unreadable(nn.Module):
    """Control flow on pixels: no tracer can read it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.conv(images)
        return found if images.sum() > 0 else images


def sequential() -> nn.Sequential:
    """Convolution, pool, dilation, stride, asymmetric kernels."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(3, 2, padding=1),
        nn.Conv2d(4, 4, 3, dilation=2, padding=2, groups=2),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 5, (3, 1), padding=(1, 0)),
    )
