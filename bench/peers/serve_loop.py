"""
Encoded film -> logit with ONNX Runtime and nothing of lucency: what HTTP is put around.

The environment variable BENCH_MODEL holds JSON: graph, side, mean, std.
"""

import json
import os

import cv2
import numpy as np
import onnxruntime
import simplejpeg


class Loop:
    """One session, one thread; decoding straight to about the size needed."""

    def __init__(self) -> None:
        told = json.loads(os.environ["BENCH_MODEL"])
        self._side = told["side"]
        levels = np.arange(256, dtype=np.float32) / 255
        self._table = ((levels - told["mean"]) / told["std"]).astype(np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            told["graph"], options, providers=["CPUExecutionProvider"]
        )
        self._logit = self._session.get_outputs()[0].name

    def __call__(self, film: bytes) -> float:
        """Of the positive class."""
        side = self._side
        gray = simplejpeg.decode_jpeg(film, "GRAY", min_height=side, min_width=side)
        if min(gray.shape[:2]) >= 2 * side:  # small inputs: the decoder stops at an eighth
            gray = cv2.resize(gray, (2 * side, 2 * side), interpolation=cv2.INTER_AREA)
        small = cv2.resize(gray, (side, side), interpolation=cv2.INTER_LINEAR)
        inputs = cv2.LUT(small, self._table)[None, None]
        (logits,) = self._session.run([self._logit], {"images": inputs})
        return float(logits[0, 0])
