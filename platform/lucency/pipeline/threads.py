"""How many threads a job takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """
    Work in one thread, then as before.

    Small batches on cores that are shared: two threads wait for each other at every layer.
    DenseNet121 on one film took 20 s of processor time where one thread takes one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
