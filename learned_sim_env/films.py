"""Pictures and films of RGB frames: enlarged without smoothing, labelled, side by side."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from learned_sim_env.files import replacing
from learned_sim_env.optional import require
from learned_sim_env.spec import unknown

# [pixels] The bar above a frame, and its text.
BAR_HEIGHT, TEXT_HEIGHT = 24, 14
BAR_COLOUR, TEXT_COLOUR = (20, 22, 26), (240, 240, 240)
FORMATS = (".gif", ".mp4")
# Of a small GIF: colours of a frame, beside the transparent one, and by how much a pixel may differ, of 255.
COLOURS, NEAR = 63, 8


def labelled(frame: np.ndarray, text: str, scale: int = 5) -> np.ndarray:
    """A frame (H, W, 3) uint8 enlarged by a whole factor, under a bar with one line of text.

    Returns:
        (BAR_HEIGHT + scale H, scale W, 3) uint8.

    Raises:
        ImportError: if Pillow is not installed.
    """
    require("PIL", extra="viewer")
    from PIL import Image, ImageDraw, ImageFont

    enlarged = frame.repeat(scale, 0).repeat(scale, 1)
    bar = Image.new("RGB", (enlarged.shape[1], BAR_HEIGHT), BAR_COLOUR)
    font = ImageFont.load_default(size=TEXT_HEIGHT)
    ImageDraw.Draw(bar).text((6, BAR_HEIGHT // 2), text, TEXT_COLOUR, font, anchor="lm")
    return np.concatenate([np.asarray(bar), enlarged])


def beside(frames: Sequence[np.ndarray], gap: int = 4) -> np.ndarray:
    """Frames (H, W_i, 3) uint8 in a row, `gap` pixels of bar colour between them."""
    seam = np.full((len(frames[0]), gap, 3), BAR_COLOUR, np.uint8)
    parts = [part for frame in frames for part in (seam, frame)][1:]
    return np.concatenate(parts, axis=1)


def above(frames: Sequence[np.ndarray], gap: int = 4) -> np.ndarray:
    """Frames (H_i, W, 3) uint8 one below the other, `gap` rows of bar colour between them."""
    return beside([frame.swapaxes(0, 1) for frame in frames], gap).swapaxes(0, 1)


def save_picture(path: Path, frame: np.ndarray) -> Path:
    """Write one frame (H, W, 3) uint8, in the format that the path's suffix names; returns the path.

    Raises:
        ImportError: if Pillow is not installed.
    """
    image = require("PIL.Image", extra="viewer").fromarray(frame)
    with replacing(path) as temporary:
        image.save(temporary)
    return path


def save_film(path: Path, frames: Iterable[np.ndarray], fps: float = 10, small: bool = False) -> Path:
    """Write frames (H, W, 3) uint8 of one size as a film, see `Film`; returns the path.

    Raises:
        ValueError: without frames, or if the path ends neither in .gif nor in .mp4.
        ImportError: if Pillow, or imageio for an MP4, is not installed.
    """
    with Film(path, fps, small) as film:
        for frame in frames:
            film.add(frame)
    return path


class Film:
    """A film that is written while its frames come: a looping GIF, exact up to 256 colours a frame, or an MP4.

    A context manager: at its end the film takes its place if all went well, and leaves nothing otherwise. Memory does
    not grow with the number of frames.

    Args:
        path: ends in .gif or .mp4.
        fps: frames a second; a GIF rounds their duration to hundredths of a second.
        small: whether a GIF is for a web page: of few colours, and nearly exact, at a third of the size or less.

    Attributes:
        count: frames so far.

    Raises:
        ValueError: for another suffix.
        ImportError: if Pillow, or imageio for an MP4, is not installed.
    """

    def __init__(self, path: Path, fps: float = 10, small: bool = False):
        if path.suffix not in FORMATS:
            raise unknown("film format", path.suffix, FORMATS)
        self.path, self.count = path, 0
        self._place = replacing(path)
        temporary = self._place.__enter__()
        self._writer = _Gif(temporary, fps, small) if path.suffix == ".gif" else _Mp4(temporary, fps)

    def __enter__(self) -> Film:
        return self

    def add(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 of the same size as the others."""
        self._writer.add(frame)
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
            if error is None:
                self._check()
        except BaseException as late:
            # The last of it is written only here, or not.
            self._place.__exit__(type(late), late, late.__traceback__)
            raise
        self._place.__exit__(kind, error, trace)

    def _check(self) -> None:
        if not self.count:
            raise ValueError(f"{self.path}: there is no frame to write")
        self._writer.check(self.count)


class _Gif:
    """Pillow's GIF encoder, fed frame by frame: saved at once, it would hold all of them."""

    def __init__(self, path: Path, fps: float, small: bool):
        self._image, self._small = require("PIL.Image", extra="viewer"), small
        self._gif = require("PIL.GifImagePlugin", extra="viewer")
        self._changes = require("PIL.ImageChops", extra="viewer").difference
        # Open until the film ends, which the caller says.
        self._file = open(path, "wb")  # noqa: SIM115
        self._duration = max(1, round(100 / fps)) * 10
        self._last: Any = None

    def add(self, frame: np.ndarray) -> None:
        shown = self._image.fromarray(frame)
        # Only what has changed is written; of a frame like the last one, a pixel, so that it still takes its time.
        box = self._changes(self._last, shown).getbbox() if self._last else (0, 0, *shown.size)
        box = box or (0, 0, 1, 1)
        about: dict[str, Any] = {"offset": box[:2], "duration": self._duration, "include_color_table": True}
        if self._small:
            image, shown = self._nearly(shown)
            about |= {"offset": (0, 0), "transparency": COLOURS, "disposal": 1}
        else:
            image = shown.crop(box).convert("P", palette=self._image.Palette.ADAPTIVE)
        if self._last is None:
            self._write(self._gif.getheader(image.copy(), info={"loop": 0})[0])
        self._write(self._gif.getdata(image, **about))
        self._last = shown

    def _nearly(self, wanted: Any) -> tuple[Any, Any]:
        """A frame in few colours, transparent where what is shown already is near enough, and what is shown then."""
        # The colours that cover the frame's best: the commonest ones would leave out what is small.
        image = wanted.quantize(COLOURS, method=self._image.Quantize.MAXCOVERAGE, dither=self._image.Dither.NONE)
        palette = image.getpalette()[: 3 * COLOURS]
        palette += [0] * (3 * (COLOURS + 1) - len(palette))
        places, shown = np.array(image), np.array(image.convert("RGB"))
        if self._last is not None:
            before = np.asarray(self._last)
            near = (np.abs(np.asarray(wanted).astype(np.int16) - before).max(-1) <= NEAR)[..., None]
            shown, places = np.where(near, before, shown), np.where(near[..., 0], COLOURS, places).astype(np.uint8)
        image = self._image.fromarray(places)
        image.putpalette(palette)
        return image, self._image.fromarray(shown)

    def _write(self, parts: list[bytes]) -> None:
        for part in parts:
            self._file.write(part)

    def close(self) -> None:
        with self._file:
            self._file.write(b";")

    def check(self, count: int) -> None:
        """Every write has said by itself whether it went well."""


class _Mp4:
    """ffmpeg, through imageio."""

    def __init__(self, path: Path, fps: float):
        imageio = require("imageio.v2", extra="viewer")
        require("imageio_ffmpeg", extra="viewer")
        self._path = path
        self._writer = imageio.get_writer(path, fps=fps, macro_block_size=None, quality=8)

    def add(self, frame: np.ndarray) -> None:
        # The codec halves the resolution of colours, so both sides must be even.
        height, width = (side - side % 2 for side in frame.shape[:2])
        try:
            self._writer.append_data(np.ascontiguousarray(frame[:height, :width]))
        except OSError as error:
            raise self._failure() from error

    def close(self) -> None:
        self._writer.close()

    def check(self, count: int) -> None:
        """imageio drops ffmpeg's exit status, so the film itself is checked; `OSError` if it is not whole."""
        if not _whole(self._path):
            raise self._failure()

    def _failure(self) -> OSError:
        return OSError(f"ffmpeg could not write {self._path}: see its messages")


def _whole(path: Path) -> bool:
    """Whether the boxes of an MP4 fill it to its end, and the index of the frames, which comes last, is among them."""
    place, size, kinds = 0, path.stat().st_size, set[bytes]()
    with open(path, "rb") as file:
        while place + 8 <= size:
            file.seek(place)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length < 8:
                return False
            place += length
            kinds.add(kind)
    return place == size and b"moov" in kinds
