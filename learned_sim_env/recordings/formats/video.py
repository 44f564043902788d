"""Films of a camera on a car (MP4 and others that OpenCV reads): pictures, and nothing that says where the car was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.recordings.film import Film
from learned_sim_env.recordings.recording import RecordingError

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm")


def recognises(path: Path) -> bool:
    """By its name alone: what is in it, only OpenCV knows."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def read(path: Path) -> Iterator[Film]:
    """The one film of a file."""
    # Fails here rather than when its pictures are asked for.
    next(pictures(path))
    name = path.stem
    yield Film(name, "video", path, f"video/{name}", lambda: pictures(path))


def pictures(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Times [s] and pictures (H, W, 3) uint8 RGB, one after the other.

    Raises:
        RecordingError: if there is no picture in it.
    """
    cv2 = opencv()
    capture = cv2.VideoCapture(str(path))
    try:
        rate, count, last = capture.get(cv2.CAP_PROP_FPS), 0, -1.0
        while capture.grab():
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            # Some containers do not say when a picture is shown.
            time = time if time > last else last + 1 / (rate if 1 <= rate <= 1000 else 30)
            if count == 0:
                start = time
            done, picture = capture.retrieve()
            if done:
                yield time - start, np.ascontiguousarray(picture[..., ::-1])
                count += 1
            last = time
        if not count:
            raise RecordingError("OpenCV finds no picture in it: it is damaged, or no video that it can read")
    finally:
        capture.release()
