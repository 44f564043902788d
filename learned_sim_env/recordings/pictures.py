"""Pictures of recorded cameras, read one after the other and never all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from learned_sim_env.optional import opencv

# By how much a picture can be made smaller while it is decoded.
SHRINKS = (1, 2, 4, 8)


class Pictures(Protocol):
    """Pictures of one camera in the order of time."""

    def read(self, numbers: Iterable[int], shrink: int = 1) -> Iterator[np.ndarray | None]:
        """(H, W, 3) uint8 RGB of each of the ascending `numbers`, None for one that cannot be read.

        shrink: one of `SHRINKS`, by which height and width are divided.
        """
        ...


def shrunk(picture: np.ndarray, shrink: int) -> np.ndarray:
    """A picture (H, W, 3) of which each pixel is the mean of `shrink` by `shrink`."""
    if shrink == 1:
        return picture
    height, width = picture.shape[:2]
    return opencv().resize(picture, (width // shrink, height // shrink), interpolation=opencv().INTER_AREA)


@dataclass(frozen=True)
class PictureFiles:
    """A file for each picture: JPEG, PNG, or what else OpenCV reads."""

    files: tuple[Path, ...]

    def read(self, numbers: Iterable[int], shrink: int = 1) -> Iterator[np.ndarray | None]:
        """See `Pictures`."""
        for number in numbers:
            try:
                yield decoded(self.files[number].read_bytes(), shrink)
            except OSError:
                yield None


@dataclass(frozen=True)
class Video:
    """Frames of a video file."""

    file: Path

    def read(self, numbers: Iterable[int], shrink: int = 1) -> Iterator[np.ndarray | None]:
        """See `Pictures`. Frames between are decoded as well: the raw streams of recorders cannot be searched."""
        cv2 = opencv()
        video = cv2.VideoCapture(str(self.file))
        try:
            here = -1
            for number in numbers:
                while here < number and video.grab():
                    here += 1
                read, frame = video.retrieve() if here == number else (False, None)
                yield shrunk(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), shrink) if read else None
        finally:
            video.release()


def decoded(data: bytes, shrink: int = 1) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB of an encoded picture, None if it is damaged."""
    cv2 = opencv()
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags[shrink]) if data else None
    return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
