"""DICOM films from bytes to grays, in a process that nothing can bring the caller down from."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lucency import images
from lucency.dicom import decoder
from lucency.dicom.decoder import Decoder
from lucency.errors import ImageError
from tests.hostile_dicom import encode, film, hostile_dicoms, raw_number

HOSTILE = hostile_dicoms()
DATA = pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds dicom/",
)


def real(name: str) -> bytes:
    """One of the four real films, by the start of its name."""
    (path,) = (Path(os.environ["LUCENCY_DATA"]) / "dicom").glob(f"{name}*")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("data", "reason"), [each[1:] for each in HOSTILE], ids=[e[0] for e in HOSTILE]
)
def test_hostile_file_is_refused_by_its_reason(data: bytes, reason: str) -> None:
    """A damaged or hostile file costs little time, gets its own reason, and names nobody."""
    started = time.monotonic()

    with pytest.raises(ImageError) as caught:
        decoder.render(data)

    assert caught.value.reason == reason
    assert not any(word in str(caught.value) for word in ("Doe", "Jane", "P1", "1.2.3.4"))
    assert time.monotonic() - started < 20


def test_hostile_files_leave_the_process_small_and_running() -> None:
    """After all of them the same process still decodes, and never held 400 MB."""
    worker = Decoder()
    worker.ask("render", encode(film()))
    before = worker.pid

    for _, data, _ in HOSTILE:
        with pytest.raises(ImageError):
            decoder.render(data, decoder=worker)

    status = Path(f"/proc/{before}/status").read_text()
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    assert worker.pid == before
    assert peak_kib < 400 * 1024
    worker.close()


def test_every_hostile_name_is_its_own() -> None:
    """There are 25 hostile files or more, and a failing one can be told from the others."""
    assert len({name for name, _, _ in HOSTILE}) == len(HOSTILE) >= 25


def test_same_bytes_same_picture_in_another_process() -> None:
    """What preparation stores is what a service renders."""
    data = encode(film())
    other = Decoder()

    first, second = decoder.render(data), decoder.render(data, decoder=other)

    np.testing.assert_array_equal(first, second)
    other.close()


def test_process_is_kept_for_many_films() -> None:
    """Starting a process costs a second: it is started once."""
    worker = Decoder()
    data = encode(film())

    decoder.render(data, decoder=worker)
    first = worker.pid
    decoder.render(data, decoder=worker)

    assert worker.pid == first
    worker.close()


def test_killed_process_is_started_again() -> None:
    """A process that ended between two films is no fault of the next film."""
    worker = Decoder()
    data = encode(film())
    decoder.render(data, decoder=worker)
    assert worker.pid is not None
    first = worker.pid

    os.kill(first, signal.SIGKILL)
    time.sleep(0.2)
    again = decoder.render(data, decoder=worker)

    assert again.shape == (40, 32)
    assert worker.pid not in (None, first)
    worker.close()


def test_crash_while_decoding_is_that_films_fault() -> None:
    """A codec that takes the process down makes one film unreadable, and the next one is read."""
    worker = Decoder(limit_s=30)
    decoder.render(encode(film()), decoder=worker)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that it can't answer before it ends
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()

    with pytest.raises(ImageError, match="stopped the decoder") as caught:
        decoder.render(encode(film()), decoder=worker)

    assert caught.value.reason == "unreadable"
    assert decoder.render(encode(film()), decoder=worker).size
    worker.close()


def test_film_that_takes_too_long_is_given_up() -> None:
    """The time limit ends the process, not the caller's patience."""
    worker = Decoder(limit_s=1)
    decoder.render(encode(film()), decoder=worker)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    started = time.monotonic()

    with pytest.raises(ImageError) as caught:
        decoder.render(encode(film()), decoder=worker)

    assert caught.value.reason == "too_slow"
    assert time.monotonic() - started < 10
    assert worker.pid is None
    worker.close()


def test_memory_is_limited() -> None:
    """A lawful film that does not fit into the room is refused, and the process lives on."""
    worker = Decoder(room_bytes=2**26)
    large = encode(film(np.zeros((6000, 6000), np.uint16)))

    with pytest.raises(ImageError) as caught:
        decoder.render(large, decoder=worker)

    assert caught.value.reason == "unreadable"
    assert decoder.render(encode(film()), decoder=worker).size
    worker.close()


def test_threads_share_one_process() -> None:
    """Each thread gets its own film's picture."""
    worker = Decoder()
    films = [np.full((20, 20), 200 + n, np.uint16) for n in range(8)]
    data = [encode(film(each, WindowCenter=208, WindowWidth=16)) for each in films]

    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda each: decoder.render(each, decoder=worker), data * 3))

    expected = [np.floor(n * 255 / 15 + 0.5) for n in range(8)]
    assert [int(picture[0, 0]) for picture in pictures] == [int(e) for e in expected] * 3
    worker.close()


def test_fork_starts_its_own_process(tmp_path: Path) -> None:
    """A forked child does not write into its parent's pipe."""
    code = (
        "import os, sys\n"
        "from lucency.dicom import decoder\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "decoder.render(data)\n"
        "first = decoder._shared.pid\n"
        "child = os.fork()\n"
        "decoder.render(data)\n"
        "good = (decoder._shared.pid == first) == bool(child)\n"
        "if not child:\n"
        "    decoder._shared.close(); os._exit(0 if good else 1)\n"
        "print(good, os.waitpid(child, 0)[1])\n"
    )
    (tmp_path / "film.dcm").write_bytes(encode(film()))

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "film.dcm")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["True", "0"]


def test_decoder_ends_with_its_parent() -> None:
    """A caller that is killed leaves no process behind."""
    code = (
        "import sys, time\n"
        "from lucency.dicom import decoder\n"
        "decoder._shared.ask('facts', sys.stdin.buffer.read())\n"
        "print(decoder._shared.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert caller.stdin
    assert caller.stdout
    caller.stdin.write(encode(film()))
    caller.stdin.close()
    worker = int(caller.stdout.readline())

    caller.kill()
    caller.wait()
    caller.stdout.close()

    deadline = time.monotonic() + 10
    while _lives(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_caller_loads_no_training_stack_and_no_dicom_library() -> None:
    """What serves films imports neither torch nor pydicom: parsing is the other process's."""
    code = "import lucency.dicom.decoder, sys; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    heavy = {"torch", "scipy", "albumentations", "sklearn", "matplotlib", "pydicom", "gdcm"}
    assert not heavy & {name.split(".")[0] for name in done.stdout.split()}


def test_nothing_a_parser_prints_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    """Warnings quote values; none of them reaches the terminal or a log."""
    data = raw_number("RescaleSlope", b"JANE^DOE")

    with pytest.raises(ImageError):
        decoder.render(data)
    decoder.facts(data)

    out, err = capfd.readouterr()
    assert "JANE" not in out + err


def test_facts_are_told() -> None:
    """Modality, view, patient and age come out as preparation needs them."""
    found = decoder.facts(encode(film(ViewPosition="LL", PatientAge="071Y", Manufacturer="Agfa")))

    assert found["patient"] == "P1"
    assert (found["modality"], found["view"]) == ("CR", "LATERAL")
    assert (found["age_band"], found["scanner"]) == ("65-89", "Agfa")


@DATA
def test_real_films_show_dark_lungs_and_bright_spine() -> None:
    """MONOCHROME1, 10 and 15 bits, JPEG 2000 or none: the spine is brighter than the lungs."""
    for name in ("RG1", "CR-MONO1", "1.2.276"):
        picture = decoder.render(real(name))
        rows, columns = picture.shape
        middle = picture[int(rows * 0.3) : int(rows * 0.5)]
        spine = middle[:, int(columns * 0.47) : int(columns * 0.53)].mean()
        lungs = np.concatenate(
            [
                middle[:, int(columns * 0.25) : int(columns * 0.35)],
                middle[:, int(columns * 0.68) : int(columns * 0.75)],
            ],
            axis=1,
        ).mean()
        assert spine > lungs + 20, name


@DATA
def test_relabelled_film_is_the_negative() -> None:
    """The same stored picture under MONOCHROME1 is 255 minus itself."""
    plain, inverted = decoder.render(real("1.2.276")), decoder.render(real("Fake"))

    np.testing.assert_array_equal(plain, 255 - inverted)


@DATA
def test_film_without_preamble_is_read() -> None:
    """440 x 440, 10 bits, no file meta: every pixel follows from its window."""
    data = real("CR-MONO1")
    stored = np.frombuffer(data[-440 * 440 * 2 :], "<u2").reshape(440, 440)
    shares = np.clip((stored - 549.5) / 1023 + 0.5, 0, 1)

    picture = decoder.render(data)

    np.testing.assert_array_equal(picture, np.floor((1 - shares) * 255 + 0.5))


@DATA
def test_jpeg_film_is_its_inner_picture() -> None:
    """Eight bits without a window are shown as they are, as another decoder reads them."""
    data = real("1.2.276")
    start = data.index(b"\xff\xd8\xff")
    inner: Any = cv2.imdecode(np.frombuffer(data[start:], np.uint8), cv2.IMREAD_GRAYSCALE)

    difference = np.abs(decoder.render(data).astype(int) - inner.astype(int))

    assert difference.max() <= 2  # two libraries round differently


def test_picture_survives_png() -> None:
    """The stored PNG is the rendered film, bit for bit."""
    picture = decoder.render(encode(film()))

    stored = images.decode(images.encode_png(picture))[:, :, 0]

    np.testing.assert_array_equal(stored, picture)


def test_caller_stays_small() -> None:
    """The deflated bomb is refused before any of its 200 MB are made."""
    bomb = next(data for name, data, _ in HOSTILE if name == "deflated bomb")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ImageError):
        decoder.render(bomb)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024
