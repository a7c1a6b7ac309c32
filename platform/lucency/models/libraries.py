"""
timm and torchvision, imported when a network of theirs is first asked for.

They cost four seconds of processor time, one of them for torchvision without the compiler that it
loads; a process that builds one of our own networks need not wait for either.
"""

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


def timm() -> Any:
    """The package timm."""
    return importlib.import_module("timm")


def torchvision() -> Any:
    """The package torchvision."""
    with _without_compiler():
        return importlib.import_module("torchvision")


@contextmanager
def _without_compiler() -> Iterator[None]:
    """
    Keep ``torchvision.ops.roi_align`` from loading all of torch's compiler for one predicate.

    The stand-in asks the real one when it is called, which only detectors do.
    """
    needed = "torchvision" not in sys.modules and _COMPILER not in sys.modules
    # Another thread that asked for the compiler now would get the stand-in.
    if not needed or threading.active_count() > 1:
        yield
        return
    stand_in = ModuleType(_COMPILER)
    stand_in.__dict__["is_compile_supported"] = _is_compile_supported
    sys.modules[_COMPILER] = stand_in
    try:
        yield
    finally:
        del sys.modules[_COMPILER]


def _is_compile_supported(device_type: str) -> bool:
    return bool(importlib.import_module(_COMPILER).is_compile_supported(device_type))
