"""Odd inputs: each gets its status as problem details, and the service goes on answering."""

import io
import pickle
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict

from lucency.errors import ImageError, StoreError
from serve import problems
from serve.problems import BadForm, BodyTooLarge, status_of

SIDE = 64
PIXELS = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE)).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gray() -> Image.Image:
    """64 px of noise."""
    return Image.fromarray(PIXELS)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds a few bytes."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_header(width: int, height: int) -> bytes:
    """A JPEG whose start of frame promises a size that its data does not fill."""
    data = bytearray(encoded(gray(), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def flipped(data: bytes, place: int) -> bytes:
    """One byte of a file turned round."""
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def zipped() -> bytes:
    """A ZIP with one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("film.jpeg", encoded(gray(), "JPEG"))
    return stream.getvalue()


def form(*parts: bytes, boundary: str = "x") -> dict[str, Any]:
    """A multipart request written by hand."""
    body = b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
    return {
        "content": body + b"--x--\r\n",
        "headers": {"content-type": f"multipart/form-data; boundary={boundary}"},
    }


JPEG, PNG = encoded(gray(), "JPEG"), encoded(gray(), "PNG")
FRAMES = [Image.fromarray(np.roll(PIXELS, number)) for number in range(2)]
# name -> (status, urn's last part or "" where only HTTP is concerned, what is sent)
REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "empty": (400, "empty", {"content": b""}),
    "text": (415, "unsupported_type", {"content": b"a film, honestly"}),
    "html": (415, "unsupported_type", {"content": b"<!doctype html><script>alert(1)</script>"}),
    "json": (415, "unsupported_type", {"json": {"image": "film.jpeg"}}),
    "gif": (415, "unsupported_type", {"content": encoded(gray(), "GIF")}),
    "bmp": (415, "unsupported_type", {"content": encoded(gray(), "BMP")}),
    "tiff": (415, "unsupported_type", {"content": encoded(gray(), "TIFF")}),
    "webp": (415, "unsupported_type", {"content": encoded(gray(), "WEBP")}),
    "svg": (415, "unsupported_type", {"content": b'<svg xmlns="http://www.w3.org/2000/svg"/>'}),
    "zip": (415, "unsupported_type", {"content": zipped()}),
    "pdf": (415, "unsupported_type", {"content": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"}),
    "empty dicom": (422, "no_pixels", {"content": bytes(128) + b"DICM" + bytes(200)}),
    "random bytes": (415, "unsupported_type", {"content": np.random.default_rng(1).bytes(5000)}),
    "invalid utf-8": (415, "unsupported_type", {"content": b"\xc3\x28\xa0\xa1\xff\xff"}),
    "gif called jpeg": (
        415,
        "unsupported_type",
        {"content": encoded(gray(), "GIF"), "headers": {"content-type": "image/jpeg"}},
    ),
    "url-encoded form": (415, "unsupported_type", {"data": {"image": "film"}}),
    "cut jpeg": (422, "truncated", {"content": JPEG[: len(JPEG) // 2]}),
    "jpeg without end": (422, "truncated", {"content": JPEG[:-2]}),
    "jpeg magic": (422, "truncated", {"content": JPEG[:3]}),
    "jpeg of noise": (422, "truncated", {"content": b"\xff\xd8\xff\xe0" + bytes(500)}),
    "cut png": (422, "truncated", {"content": PNG[: len(PNG) // 2]}),
    "png magic": (422, "unreadable", {"content": PNG[:8]}),
    "png with bad header crc": (422, "unreadable", {"content": flipped(PNG, 29)}),
    "png with bad data": (422, "truncated", {"content": flipped(PNG, len(PNG) // 2)}),
    "png of noise": (422, "unreadable", {"content": PNG[:8] + bytes(500)}),
    "animated png": (
        422,
        "animated",
        {"content": encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:])},
    ),
    "one pixel": (422, "too_small", {"content": encoded(gray().resize((1, 1)), "PNG")}),
    "line": (422, "too_small", {"content": encoded(gray().resize((400, 15)), "JPEG")}),
    "huge png": (413, "too_many_pixels", {"content": png_header(20_000, 20_000)}),
    "huge jpeg": (413, "too_many_pixels", {"content": jpeg_header(20_000, 20_000)}),
    "no pixels": (422, "unreadable", {"content": png_header(0, 0)}),
    "declared too long": (413, "", {"content": JPEG + bytes(200_000)}),
    "found too long": (413, "", {"content": [JPEG, bytes(100_000), bytes(100_000)]}),
    "form too long": (413, "", {"files": {"image": bytes(200_000)}}),
    "other field": (400, "", {"files": {"film": ("film.jpeg", JPEG, "image/jpeg")}}),
    "text field": (400, "", form(b'name="image"\r\n\r\nfilm.jpeg')),
    "two files": (400, "", {"files": [("image", JPEG), ("image", JPEG)]}),
    "many fields": (400, "", {"files": {str(n): (None, b"x") for n in range(9)}}),
    "empty form": (400, "", form()),
    "empty file": (400, "empty", {"files": {"image": ("film.jpeg", b"", "image/jpeg")}}),
    "text in a form": (415, "unsupported_type", {"files": {"image": b"a film"}}),
    "no boundary": (
        400,
        "",
        {"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data"}},
    ),
    "other boundary": (400, "", form(b'name="image"; filename="a"\r\n\r\nx', boundary="y")),
    "no disposition": (400, "", form(b'filename="a"\r\n\r\nx')),
    "strange charset": (
        400,
        "",
        form(b'name="image"\r\n\r\nx', boundary="x; charset=klingon"),
    ),
    "cut form": (
        400,
        "",
        {
            "content": b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n',
            "headers": {"content-type": "multipart/form-data; boundary=x"},
        },
    ),
}
TAKEN: dict[str, dict[str, Any]] = {
    "16-bit png": {"content": encoded(Image.fromarray(PIXELS.astype(np.uint16) * 16), "PNG")},
    "cmyk jpeg": {"content": encoded(gray().convert("CMYK"), "JPEG")},
    "palette png": {"content": encoded(gray().convert("P"), "PNG")},
    "transparent png": {"content": encoded(gray().convert("RGBA"), "PNG")},
    "bit png": {"content": encoded(gray().convert("1"), "PNG")},
    "progressive jpeg": {"content": encoded(gray(), "JPEG", progressive=True)},
    "png called jpeg": {"content": PNG, "headers": {"content-type": "image/jpeg"}},
    "jpeg called json": {"content": JPEG, "headers": {"content-type": "application/json"}},
    "without a type": {"content": JPEG, "headers": {"content-type": ""}},
    "trailing bytes": {"content": JPEG + b"<html>"},
    "odd file name": {"files": {"image": ("../../etc/passwd\x00.exe", JPEG, "text/html")}},
}


@pytest.mark.parametrize("route", ["/v1/predict", "/v1/explain"])
@pytest.mark.parametrize("name", REFUSED)
def test_odd_input_is_refused_as_a_problem(client: TestClient, name: str, route: str) -> None:
    """What is no usable film gets its 4xx as RFC 9457 details, and a good film is answered next."""
    status, reason, sent = REFUSED[name]

    response = client.post(route, **sent)

    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["type"] == (f"urn:lucency:{reason}" if reason else "about:blank")
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert client.post("/v1/predict", content=JPEG).status_code == 200


@pytest.mark.parametrize("name", TAKEN)
def test_unusual_film_is_answered(client: TestClient, name: str) -> None:
    """A film is judged by its content: depth, color model and what the header says don't matter."""
    response = client.post("/v1/predict", **TAKEN[name])

    assert response.status_code == 200, response.text
    assert 0 <= response.json()["probability"] <= 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/predict", 404),
        ("POST", "/v1/predict/x", 404),
        ("GET", "/v1/%00", 404),
        ("GET", "/v1/predict", 405),
        ("PUT", "/v1/predict", 405),
        ("DELETE", "/v1/model", 405),
        ("POST", "/healthz", 405),
        ("BREW", "/v1/model", 405),
    ],
)
def test_unknown_route_or_method_is_a_problem(
    client: TestClient, method: str, path: str, status: int
) -> None:
    """Routing errors have the same form as refused films; a 405 says what is allowed."""
    response = client.request(method, path)

    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert ("allow" in response.headers) is (status == 405)


def test_refusals_are_counted_by_reason(client: TestClient, registry: CollectorRegistry) -> None:
    """The labels of refusals are the reasons, a small fixed set, never a part of the input."""
    for _, _, sent in REFUSED.values():
        client.post("/v1/predict", **sent)

    reasons = {
        sample.labels["reason"]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "lucency_refusals_total"
    }
    assert reasons == {reason for _, reason, _ in REFUSED.values() if reason}


def test_unexpected_error_says_nothing_of_the_film(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake of ours is a 500 without details; the log has the type, not the message."""
    app = FastAPI()
    problems.install(app)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("patient Doe")

    response = TestClient(app, raise_server_exceptions=False).get("/broken")

    assert (response.status_code, response.json()["detail"]) == (500, "internal error")
    assert response.headers["content-type"] == "application/problem+json"
    logged = [record.getMessage() for record in caplog.records if record.name == "serve.problems"]
    assert logged == ["unexpected RuntimeError at /broken"]


def test_error_of_the_platform_says_nothing_of_its_disks() -> None:
    """An error that is ours but no answer to a request is a 500 without its message."""
    app = FastAPI()
    problems.install(app)

    @app.get("/broken")
    def broken() -> None:
        raise StoreError("no store at /mnt/secret")

    response = TestClient(app, raise_server_exceptions=False).get("/broken")

    assert (response.status_code, response.json()["detail"]) == (500, "internal error")


def test_wrong_parameter_is_a_problem() -> None:
    """What FastAPI itself refuses has the same form, with the place of the mistake."""
    app = FastAPI()
    problems.install(app)

    @app.get("/films")
    def films(number: int) -> int:
        return number

    response = TestClient(app).get("/films?number=three")

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert "query.number" in response.json()["detail"]


def test_unknown_field_is_not_repeated() -> None:
    """Its name comes from the caller, and may be a patient's in the wrong place."""
    app = FastAPI()
    problems.install(app)

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    @app.post("/labels")
    def labels(label: Strict) -> None:
        """Take it."""

    response = TestClient(app).post("/labels", json={"Mustermann": 1})

    assert response.status_code == 422
    assert response.json()["detail"] == "body: Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImageError("empty", ""), 400),
        (ImageError("unsupported_type", ""), 415),
        (ImageError("too_many_pixels", ""), 413),
        (ImageError("too_small", ""), 422),
        (ImageError("a reason of next year", ""), 422),
        (BodyTooLarge(""), 413),
        (BadForm(""), 400),
        (StoreError(""), 500),
        (KeyError(""), 500),
    ],
)
def test_errors_have_their_status(error: Exception, status: int) -> None:
    """A film that can't be used is never a 5xx, also for reasons that are added later."""
    assert status_of(error) == status


@pytest.mark.parametrize("error", [BodyTooLarge("long"), BadForm("no field")])
def test_errors_cross_processes(error: Exception) -> None:
    """Ray carries errors between actors: each survives pickling with its message."""
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy)) == (type(error), str(error))
