"""Messages between the decoder's two processes."""

import io

from lucency.dicom.messages import receive, send


def test_message_comes_back() -> None:
    """What was sent is received, one after the other."""
    stream = io.BytesIO()
    send(stream, {"what": "a"}, b"1234")
    send(stream, {"what": "b"}, b"")
    stream.seek(0)

    assert receive(stream) == ({"what": "a"}, b"1234")
    assert receive(stream) == ({"what": "b"}, b"")
    assert receive(stream) is None


def test_cut_message_is_none() -> None:
    """A process that ends while it answers has not answered."""
    stream = io.BytesIO()
    send(stream, {"what": "a"}, b"1234")

    for length in range(len(stream.getvalue())):
        assert receive(io.BytesIO(stream.getvalue()[:length])) is None
