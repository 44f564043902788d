"""Pictures and films of RGB frames: enlarged without smoothing, labelled, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from learned_sim_env.files import replacing
from learned_sim_env.optional import require
from learned_sim_env.spec import unknown

# [pixels] The bar above a frame, and its text.
BAR_HEIGHT, TEXT_HEIGHT = 24, 14
BAR_COLOUR, TEXT_COLOUR = (20, 22, 26), (240, 240, 240)
FORMATS = (".gif", ".mp4")


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


def save_picture(path: Path, frame: np.ndarray) -> Path:
    """Write one frame (H, W, 3) uint8, in the format that the path's suffix names; returns the path.

    Raises:
        ImportError: if Pillow is not installed.
    """
    image = require("PIL.Image", extra="viewer").fromarray(frame)
    with replacing(path) as temporary:
        image.save(temporary)
    return path


def save_film(path: Path, frames: Sequence[np.ndarray], fps: int = 10) -> Path:
    """Write frames (H, W, 3) uint8 of one size as a looping GIF, exact up to 256 colours a frame, or as an MP4.

    Raises:
        ValueError: without frames, or if the path ends neither in .gif nor in .mp4.
        ImportError: if Pillow, or imageio for an MP4, is not installed.
    """
    if not frames:
        raise ValueError(f"{path}: there is no frame to write")
    if path.suffix not in FORMATS:
        raise unknown("film format", path.suffix, FORMATS)
    with replacing(path) as temporary:
        if path.suffix == ".gif":
            image = require("PIL.Image", extra="viewer")
            first, *others = map(image.fromarray, frames)
            first.save(temporary, save_all=True, append_images=others, duration=round(1000 / fps), loop=0)
        else:
            imageio = require("imageio.v2", extra="viewer")
            require("imageio_ffmpeg", extra="viewer")
            # The codec halves the resolution of colours, so both sides must be even.
            height, width = (side - side % 2 for side in frames[0].shape[:2])
            with imageio.get_writer(temporary, fps=fps, macro_block_size=None, quality=8) as writer:
                for frame in frames:
                    writer.append_data(frame[:height, :width])
    return path
