"""Encoded films and their pixels: judged, decoded, written."""

from lucency.images.decoding import Color, decode, decode_checked, size
from lucency.images.encoding import encode_png, encode_png_fast
from lucency.images.header import MAX_PIXELS, MIN_SIDE, content_type

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Color",
    "content_type",
    "decode",
    "decode_checked",
    "encode_png",
    "encode_png_fast",
    "size",
]
