"""A drive as files: its film, its last picture, and the tape it can be driven again from."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.display.board import Board, picture_of
from learned_sim_env.display.frame import Frame
from learned_sim_env.films import FORMATS, Film, save_picture
from learned_sim_env.optional import require
from learned_sim_env.spec import unknown
from learned_sim_env.viewer.tape import Recorder, Tape
from learned_sim_env.viewer.timeline import TimelineMoment

# [pixels] Whatever the size of the window, so that a replay makes the same film. A GIF of full size would be huge.
SIZES = {".mp4": (1120, 840), ".gif": (840, 630)}
# Pictures that wait for the encoder; driving waits where there are more, and none is lost.
WAITING = 32


def film_path(path: Path) -> tuple[Path, str]:
    """Where a film that was asked for can be written, and what to tell about it: a GIF where the encoder is missing.

    Raises:
        ValueError: if the path ends neither in .gif nor in .mp4.
    """
    if path.suffix not in FORMATS:
        raise unknown("film format", path.suffix, FORMATS)
    if path.suffix == ".gif":
        return path, ""
    try:
        require("imageio.v2", extra="viewer")
        require("imageio_ffmpeg", extra="viewer").get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        return path.with_suffix(".gif"), f"a GIF instead of an MP4: {error}"
    return path, ""


def unused(path: Path) -> Path:
    """`path`, or one like it with the first number that makes it new."""
    number, free = 2, path
    while free.exists() or free.with_suffix(".npz").exists():
        free, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
    return free


class Recording:
    """Writes PATH, and beside it the last picture (.png) and the tape (.npz).

    Args:
        path: of the film, see `film_path`.
        fps: frames a second.
        about: what goes on the tape besides, see `tape.Tape`.

    Attributes:
        error: why the film cannot be written, or None.
    """

    def __init__(self, path: Path, fps: float, **about: Any):
        self.path, self._size = path, SIZES[path.suffix]
        self._board = Board()
        self._recorder = Recorder(fps=fps, size=list(self._size), **about)
        self._last: np.ndarray | None = None
        self.error: BaseException | None = None
        self._pictures: queue.Queue[np.ndarray | None] = queue.Queue(WAITING)
        # Opened here, so that what cannot be written is known at once.
        self._film = Film(path, fps)
        self._thread = threading.Thread(target=self._encode, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._recorder)

    def add(self, kind: int, moment: TimelineMoment, frame: Frame) -> None:
        """Append a frame; kind: see `tape`."""
        self._recorder.add(kind, moment, frame)
        self._last = picture_of(self._board, frame, self._size)
        self._pictures.put(self._last)

    def close(self) -> list[Path]:
        """End it; returns what was written. Without a frame, nothing is.

        Raises:
            ValueError: if the film could not be written; the tape is, all the same.
        """
        self._pictures.put(None)
        self._thread.join()
        if self._last is None:
            return []
        written = [self.tape().save(self.path.with_suffix(".npz"))]
        written.append(save_picture(self.path.with_suffix(".png"), self._last))
        if self.error is not None:
            raise ValueError(f"the film {self.path} could not be written ({self.error}); {written[0]} can be replayed")
        return [self.path, *written]

    def tape(self) -> Tape:
        """The tape so far."""
        return self._recorder.tape()

    def _encode(self) -> None:
        picture = None
        try:
            with self._film as film:
                while (picture := self._pictures.get()) is not None:
                    film.add(picture)
        except BaseException as error:
            self.error = error
            # The caller that adds frames must not wait for ever.
            while picture is not None:
                picture = self._pictures.get()
