"""Published files are fetched whole and proved, or nothing is left; against a real web server."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lucency.datasets import fetch
from lucency.datasets.fetch import Remote
from lucency.errors import DataError
from tests import web

FILE = os.urandom(200_000)
MD5 = hashlib.md5(FILE).hexdigest()
SHA256 = hashlib.sha256(FILE).hexdigest()


def remote(url: str, **changed: Any) -> Remote:
    """The file as it is published on a server."""
    return Remote(**{"url": url, "md5": MD5, "max_bytes": len(FILE), "sha256": SHA256, **changed})


def complaint(folder: Path, published: Remote, **options: Any) -> str:
    """What a person reads; and nothing may be left of the attempt."""
    with pytest.raises(DataError) as caught:
        fetch.fetch(published, folder / "new" / "film.npz", **{"pause_s": 0.01, **options})
    assert list(folder.iterdir()) == []
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_file_is_fetched_whole(tmp_path: Path) -> None:
    """One request brings the published bytes, into folders made for them, and nothing else."""
    path = tmp_path / "new" / "film.npz"

    with web.serving(web.body(FILE)) as server:
        fetch.fetch(remote(f"{server.url}/film.npz"), path)

    assert path.read_bytes() == FILE
    assert server.asked == [("/film.npz", None)]
    assert list(path.parent.iterdir()) == [path]


def test_progress_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees from where a file comes and how far it is."""
    with web.serving(web.body(FILE)) as server:
        fetch.fetch(remote(f"{server.url}/film.npz"), tmp_path / "film.npz")

    shown = capsys.readouterr().err
    assert f"fetching {server.url}/film.npz" in shown
    assert "fetched film.npz: 100%" in shown


def test_redirect_over_http_is_followed(tmp_path: Path) -> None:
    """Archives send to where they keep the bytes; a relative address is one too."""
    with web.serving(web.redirect("/store/1"), web.body(FILE)) as server:
        fetch.fetch(remote(f"{server.url}/film.npz"), tmp_path / "film.npz")

    assert [path for path, _ in server.asked] == ["/film.npz", "/store/1"]


def test_broken_connection_is_taken_up_again(tmp_path: Path) -> None:
    """What has arrived is not asked for again where the server can go on."""
    with web.serving(web.cut(FILE, 150_000), web.ranged(FILE)) as server:
        fetch.fetch(remote(server.url), tmp_path / "film.npz", pause_s=0.01)

    assert (tmp_path / "film.npz").read_bytes() == FILE
    assert [asked for _, asked in server.asked] == [None, "bytes=150000-"]


@pytest.mark.parametrize("busy", [web.status(503), web.status(429), web.status(416)])
def test_server_without_ranges_starts_anew(tmp_path: Path, busy: web.Answer) -> None:
    """Where the server can't go on, or is busy for a moment, the file comes from its start."""
    with web.serving(web.cut(FILE, 150_000), busy, web.body(FILE)) as server:
        fetch.fetch(remote(server.url), tmp_path / "film.npz", pause_s=0.01)

    assert (tmp_path / "film.npz").read_bytes() == FILE


def test_attempts_are_bounded(tmp_path: Path) -> None:
    """A server that always breaks off is asked a few times, and then a person is."""
    with web.serving(web.cut(FILE, 10)) as server:
        said = complaint(tmp_path, remote(server.url), attempts=3)

    assert "could not be fetched in 3 attempts (it ended after 10 of 200000 bytes)" in said
    assert len(server.asked) == 3


def test_absent_server_is_one_line(tmp_path: Path) -> None:
    """Nobody listens: what the system says is told, and where the file belongs."""
    with web.serving(web.body(FILE)) as server:
        pass

    said = complaint(tmp_path, remote(server.url), attempts=2)

    assert "Connection refused" in said
    assert f"put the file at '{tmp_path}/new/film.npz'" in said


@pytest.mark.parametrize(
    ("changed", "kind"),
    [({"md5": "0" * 32}, "MD5"), ({"sha256": "0" * 64}, "SHA-256")],
    ids=["md5", "sha256"],
)
def test_other_bytes_are_not_kept(tmp_path: Path, changed: dict[str, str], kind: str) -> None:
    """Either digest alone is enough to refuse a file, and both are told."""
    with web.serving(web.body(FILE)) as server:
        said = complaint(tmp_path, remote(server.url, **changed))

    assert f"gave 200000 bytes with {kind} " in said
    assert "0" * 32 in said
    assert "nothing was kept" in said


@pytest.mark.parametrize("code", [403, 404, 410])
def test_last_word_of_a_server_is_told(tmp_path: Path, code: int) -> None:
    """A file that is not there is not asked for twice."""
    with web.serving(web.status(code)) as server:
        said = complaint(tmp_path, remote(server.url))

    assert f"answers with status {code}" in said
    assert len(server.asked) == 1


def test_web_page_is_no_file(tmp_path: Path) -> None:
    """A page that says not found with a good status, or asks for a login, is known as a page."""
    page = web.body(b"<html>Please log in", "text/html; charset=utf-8")

    with web.serving(page) as server:
        said = complaint(tmp_path, remote(server.url))

    assert "answers with a web page instead of the file" in said


@pytest.mark.parametrize(
    "target", ["file:///etc/hostname", "ftp://127.0.0.1/film", "data:,film", ""]
)
def test_redirect_out_of_http_is_not_followed(tmp_path: Path, target: str) -> None:
    """No server can make this machine read its own files or speak another protocol."""
    with web.serving(web.redirect(target)) as server:
        said = complaint(tmp_path, remote(server.url), attempts=1)

    assert f"redirects to {target!r}; from http: only https: is followed and http:" in said
    assert len(server.asked) == 1


def test_encryption_is_not_given_up() -> None:
    """From https a redirect leads to https alone; from http it may lead to either."""
    assert fetch._target("http://a.test/x", "https://b.test/y") == "https://b.test/y"
    with pytest.raises(DataError, match="from https: only https: is followed: check"):
        fetch._target("https://a.test/x", "http://b.test/y")


def test_circle_of_redirects_ends(tmp_path: Path) -> None:
    """Redirects are followed a few times."""
    with web.serving(web.redirect("/again")) as server:
        said = complaint(tmp_path, remote(server.url))

    assert "redirects more than 5 times" in said
    assert len(server.asked) == 6


def test_endless_body_ends_at_the_bound(tmp_path: Path) -> None:
    """A server that never stops is left at the published size."""
    with web.serving(web.endless()) as server:
        said = complaint(tmp_path, remote(server.url))

    assert "sends more than the 200000 bytes that are expected" in said


def test_announced_excess_is_not_received(tmp_path: Path) -> None:
    """A body whose length is too much is refused before it comes."""
    with web.serving(web.body(FILE + b"!")) as server:
        said = complaint(tmp_path, remote(server.url))

    assert "announces 200001 bytes, expected 200000 at most" in said


def test_dripping_body_ends_in_time(tmp_path: Path) -> None:
    """A byte now and then keeps a connection alive, and not this process."""
    drip = web.endless(lambda: time.sleep(0.02), b".")
    started = time.monotonic()

    with web.serving(drip) as server:
        said = complaint(tmp_path, remote(server.url), timeout_s=0.4)

    assert "in the time that it had" in said
    assert time.monotonic() - started < 5


def test_silent_server_ends_in_time(tmp_path: Path) -> None:
    """A server that takes the request and says nothing is left when the time is over."""
    with web.serving(lambda _: time.sleep(1.0)) as server:
        started = time.monotonic()
        said = complaint(tmp_path, remote(server.url), timeout_s=0.3)
        waited_s = time.monotonic() - started

    assert "time" in said
    assert waited_s < 0.9


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "/etc/hostname", "ftp://a.test/x", "http:"]
)
def test_address_must_be_of_the_web(tmp_path: Path, url: str) -> None:
    """A mirror is a web address; nothing else is opened."""
    assert "is no address to fetch from; expected https://HOST/" in complaint(tmp_path, remote(url))


def test_failed_fetch_leaves_the_old_file(tmp_path: Path) -> None:
    """A file takes its place only when it is proved."""
    (tmp_path / "film.npz").write_bytes(b"old")

    with web.serving(web.body(FILE)) as server, pytest.raises(DataError):
        fetch.fetch(remote(server.url, md5="0" * 32), tmp_path / "film.npz")

    assert [path.name for path in tmp_path.iterdir()] == ["film.npz"]
    assert (tmp_path / "film.npz").read_bytes() == b"old"


def test_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    """Where nothing can be written, that is said before anything is fetched."""
    (tmp_path / "file").touch()

    with web.serving(web.body(FILE)) as server, pytest.raises(DataError) as caught:
        fetch.fetch(remote(server.url), tmp_path / "file" / "film.npz")

    assert str(caught.value).startswith(f"nothing can be written to '{tmp_path}/file' (")
    assert server.asked == []
