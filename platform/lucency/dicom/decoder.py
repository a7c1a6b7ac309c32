"""
DICOM bytes -> pictures, for preparation and for serving alike.

The work is done in a process of its own that is kept for the next film: a bomb, a crash or an
endless loop in a codec costs that process, and becomes an ``ImageError``.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from typing import Any, NamedTuple, cast

import numpy as np

from lucency import images
from lucency.dicom import container
from lucency.dicom.container import is_dicom as is_dicom
from lucency.dicom.messages import receive, send
from lucency.errors import DataError, ImageError

LIMIT_S = 30
"""The longest that one film may take; the largest lawful one takes about six seconds."""

_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV")


class Decoder:
    """
    One decoding process, started at the first film and again whenever it ends.

    Threads share it one after the other; a fork starts its own.

    Args:
        limit_s: Wall time for one film.
        room_bytes: Memory for one film, over what the process takes by itself.
    """

    def __init__(self, *, limit_s: int = LIMIT_S, room_bytes: int = 2**30) -> None:
        self.limit_s = limit_s
        self.room_bytes = room_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def ask(
        self, what: str, data: bytes, *, max_pixels: int = images.MAX_PIXELS
    ) -> tuple[dict[str, Any], bytes]:
        """
        Let the process work on one file.

        Args:
            max_pixels: A larger film is refused by its header, before a pixel is decoded.

        Raises:
            ImageError: what it found wrong; ``unreadable`` where it crashed, ``too_slow``.
        """
        container.split(data)  # most of what is no film ends here, at no cost
        with self._lock:
            head, body = self._exchange({"what": what, "max_pixels": max_pixels}, data)
        if "reason" in head:
            raise ImageError(head["reason"], head["message"])
        return head, body

    def close(self) -> None:
        """End the process; the next film starts another."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process else None

    def _exchange(self, asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.limit_s, give_up)
        timer.daemon = True
        timer.start()
        reply = None
        try:
            with contextlib.suppress(BrokenPipeError):
                send(process.stdin, asked | {"limit_s": self.limit_s}, data)
                reply = receive(process.stdout)
        finally:
            timer.cancel()
            # Also after an interrupt: an answer left in the pipe would go to the next film.
            if reply is None or late.is_set():
                self._end()
        if reply is not None:
            return reply
        if late.is_set():
            raise ImageError("too_slow", f"the film was not decoded within {self.limit_s} s")
        raise ImageError("unreadable", "the film stopped the decoder; send the file as stored")

    def _running(self) -> "subprocess.Popen[bytes]":
        # One that ended between two films, for lack of memory say, is not this film's doing.
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = self._start()
        return self._process

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}
        paths = [os.path.abspath(path) for path in sys.path]
        # A pool of threads for matrices would take address space by the number of cores.
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lucency.dicom.worker", str(self.room_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert process.stdout is not None
        if receive(process.stdout) is None:
            raise DataError(
                f"the DICOM decoder ended with status {process.wait()} while it started, see the "
                "lines above; pydicom and python-gdcm must be installed"
            )
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if stream:
                    stream.close()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._process = None


_shared = Decoder()


class Rendered(NamedTuple):
    """
    A film and the little of its header that may leave the process.

    Attributes:
        pixels_hw: uint8, bones bright.
        view: In DICOM's words, '' where none is given.
        burned_in: Whether the header says that there is text in the pixels.
    """

    pixels_hw: np.ndarray
    view: str
    burned_in: bool


def render(
    data: bytes, *, decoder: Decoder = _shared, max_pixels: int = images.MAX_PIXELS
) -> np.ndarray:
    """The pixels of ``rendered``."""
    return rendered(data, decoder=decoder, max_pixels=max_pixels).pixels_hw


def rendered(
    data: bytes, *, decoder: Decoder = _shared, max_pixels: int = images.MAX_PIXELS
) -> Rendered:
    """
    One DICOM film as it is meant to be seen.

    The same bytes give the same picture in every process and on every machine.

    Raises:
        ImageError: ``empty``, ``unsupported_type``, ``too_large``, ``deflated``,
            ``unknown_syntax``, ``no_pixels``, ``multi_frame``, ``not_gray``, ``bad_attribute``,
            ``size_mismatch``, ``too_many_pixels``, ``too_small``, ``truncated``, ``unreadable``
            or ``too_slow``. No message holds a value that could name a patient.
    """
    head, body = decoder.ask("render", data, max_pixels=max_pixels)
    pixels_hw = np.frombuffer(body, np.uint8).reshape(head["shape"])
    return Rendered(pixels_hw, head["view"], head["burned_in"])


def codes(data: bytes, *, decoder: Decoder = _shared) -> np.ndarray:
    """The stored values of a film without their sign, uint16, h x w; raises as ``render``."""
    head, body = decoder.ask("codes", data)
    return np.frombuffer(body, np.uint16).reshape(head["shape"])


def facts(data: bytes, *, decoder: Decoder = _shared) -> dict[str, str]:
    """
    What the header says of a film: instance, patient, modality, view, institution, scanner,
    age_band; '' where it does not say. This names the patient: salt it before it is stored.

    Raises:
        ImageError: as ``render``, for what the elements before the pixels show.
    """
    return cast(dict[str, str], decoder.ask("facts", data)[0]["facts"])
