"""
MNIST as PyTorch's tutorials train it: torchvision's set, a DataLoader, batches of 64, Adam.

    echo 5 | python bench/peers/mnist_script.py FOLDER_WITH_THE_GZ_FILES

A number on standard input asks for so many further epochs; each is answered by one line of JSON.
CPU seconds are user and system time of this process from the first batch asked for to the last
step, so without imports, unpacking and testing. One thread: it then has no peer to spin for.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class Net(nn.Module):
    """1,199,882 parameters; sides 28, 26, 24, 12."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(64 * 12 * 12, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        found = nn.functional.relu(self.conv1(images))
        found = nn.functional.relu(self.conv2(found))
        found = torch.flatten(nn.functional.max_pool2d(found, 2), 1)
        logits: torch.Tensor = self.fc2(nn.functional.relu(self.fc1(found)))
        return logits


def main() -> None:
    """Train for as many epochs as standard input asks for."""
    torch.set_num_threads(1)
    torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        # torchvision unpacks beside the files it is given, so it is given copies.
        raw = root / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for path in Path(sys.argv[1]).rglob("*.gz"):
            shutil.copy(path, raw)
        transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
        )
        train = datasets.MNIST(root, train=True, download=True, transform=transform)
        test = datasets.MNIST(root, train=False, transform=transform)
    _follow(DataLoader(train, batch_size=64, shuffle=True), DataLoader(test, batch_size=1000))


def _follow(train: DataLoader[Any], test: DataLoader[Any]) -> None:
    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    epoch = 0
    for line in sys.stdin:
        for _ in range(int(line)):
            epoch += 1
            began = time.process_time()
            model.train()
            total = 0.0
            for images, labels in train:
                optimizer.zero_grad()
                loss = criterion(model(images), labels)
                loss.backward()
                optimizer.step()
                total += loss.item()
            cpu_s = time.process_time() - began
            row = {"epoch": epoch, "cpu_s": cpu_s, "images": len(train.dataset)}  # type: ignore[arg-type]
            row |= {"loss": total / len(train), "accuracy": _accuracy(model, test)}
            print(json.dumps(row), flush=True)


@torch.no_grad()
def _accuracy(model: nn.Module, test: DataLoader[Any]) -> float:
    model.eval()
    right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in test)
    return right / len(test.dataset)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
