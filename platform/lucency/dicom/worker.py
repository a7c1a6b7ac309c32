"""
The process in which foreign bytes are parsed and decoded: ``python -m lucency.dicom.worker``.

It reads a request on its standard input, answers on its standard output and ends with its
input. Its memory is limited, a request has a time, and nothing that a codec prints goes
anywhere. It never sees a key, and no file is opened.
"""

import os
import resource
import signal
import sys
import warnings
from typing import Any

import gdcm  # noqa: F401 (loaded before the memory is limited)
import numpy as np
from PIL import Jpeg2KImagePlugin, JpegImagePlugin  # noqa: F401
from pydicom.pixels.decoders.base import get_decoder  # noqa: F401

from lucency.dicom import frame, grays, header
from lucency.dicom.messages import receive, send
from lucency.errors import ImageError
from lucency.images.header import check_sides

# One film of the most pixels allowed takes about 600 MB inside of the JPEG 2000 decoder.
_ROOM_BYTES = 2**30


def main(memory_bytes: int = _ROOM_BYTES) -> None:
    """Serve requests until the input ends."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _limit(memory_bytes)
    send(replies, {"ready": True}, b"")
    _silence()
    while (request := receive(requests)) is not None:
        options, data = request
        # Without a handler the alarm ends the process, also inside of a codec and without a parent.
        signal.alarm(options["limit_s"] + 1)
        head, body = _answer(options["what"], data, options["max_pixels"])
        signal.alarm(0)
        send(replies, head, body)


def _answer(what: str, data: bytes, max_pixels: int) -> tuple[dict[str, Any], bytes]:
    try:
        if what == "facts":
            return {"facts": header.facts(header.parse(data, pixels=False))}, b""
        dataset = header.parse(data)
        form = frame.format_of(dataset)
        check_sides(form.columns, form.rows, max_pixels)
        pixels = frame.codes(dataset, form) if what == "codes" else grays.render(dataset)
        view = header.view(dataset)
        said = {
            "shape": list(pixels.shape),
            "view": view if view in header.VIEWS.split() else "",
            # A NO is not believed: preparation looks at the pixels.
            "burned_in": header.text(dataset, "BurnedInAnnotation").upper() == "YES",
        }
        return said, np.ascontiguousarray(pixels).tobytes()
    except ImageError as refusal:
        return {"reason": refusal.reason, "message": refusal.message}, b""
    except MemoryError:
        message = "the film needs more memory to decode than a film can need"
        return {"reason": "unreadable", "message": message}, b""
    except Exception:
        # An unforeseen way to be damaged; the message of the error may quote the file.
        message = "the film can't be decoded; send the file as stored"
        return {"reason": "unreadable", "message": message}, b""


def _limit(room_bytes: int) -> None:
    with open("/proc/self/statm") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room_bytes, used + room_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _silence() -> None:
    """Codecs and parsers print what they don't like, and it may be a name."""
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    # Ctrl-C in a terminal reaches the whole group; the parent says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main(*[int(text) for text in sys.argv[1:]])
