"""Libraries are loaded when they are needed, whole, and without the compiler where possible."""

import subprocess
import sys

import pytest


def said(code: str) -> str:
    """What a fresh process prints; this one has loaded everything long since."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_own_networks_need_no_library() -> None:
    """Naming and building one of our architectures loads neither timm nor torchvision."""
    found = said(
        "import sys\n"
        "from lucency.models.base import architectures\n"
        "options = architectures.options('lenet5')()\n"
        "architectures.build(options, in_channels=1, outputs=10, side=28)\n"
        "print([name for name in ('timm', 'torchvision') if name in sys.modules])"
    )

    assert found == "[]"


@pytest.mark.slow
def test_torchvision_loads_without_the_compiler() -> None:
    """The compiler is not loaded with torchvision, is whole afterwards, and answers detectors."""
    found = said(
        "import sys\n"
        "from lucency.models import libraries\n"
        "libraries.torchvision()\n"
        "print('torch._dynamo' in sys.modules, 'torch._dynamo.utils' in sys.modules)\n"
        "pooling = sys.modules['torchvision.ops.roi_align']\n"
        "asked = [pooling.is_compile_supported(kind) for kind in ('cpu', 'meta')]\n"
        "import torch._dynamo.utils as real\n"
        "print(asked == [real.is_compile_supported(kind) for kind in ('cpu', 'meta')])\n"
    )

    assert found.split() == ["False", "False", "True"]


@pytest.mark.slow
def test_other_threads_get_the_real_compiler() -> None:
    """While another thread runs, which might ask for the compiler, nothing stands in for it."""
    found = said(
        "import sys, threading\n"
        "from lucency.models import libraries\n"
        "done = threading.Event()\n"
        "other = threading.Thread(target=done.wait)\n"
        "other.start()\n"
        "libraries.torchvision()\n"
        "done.set()\n"
        "print('torch._dynamo' in sys.modules)"
    )

    assert found == "True"
