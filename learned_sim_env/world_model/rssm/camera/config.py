"""Sizes of the world model of cameras: the architecture part of a checkpoint's `config.json`."""

from __future__ import annotations

from dataclasses import dataclass

from learned_sim_env.world_model.rssm.config import RSSMConfig


@dataclass(frozen=True)
class CameraConfig(RSSMConfig):
    """Architecture of `CameraWorldModel`: that of the state it sees by and paints from, and its own."""

    cameras: tuple[str, ...] = ("front", "left", "right")
    seeing: int = 48  # channels of what is seen in pictures
    look: int = 32  # numbers that say how the world looks
    scenery_slots: int = 48  # things beside the road that are remembered, the nearest
    painting: tuple[int, ...] = (32, 64)  # channels at half and at a quarter of the pictures' size
    keyframe_distance: float = 12.0  # [m] after which what was painted is remembered instead of what it was made from


SIZES = {
    "camera-tiny": CameraConfig(
        hidden=32,
        groups=4,
        classes=16,
        embedding=32,
        channels=16,
        surroundings=32,
        head_hidden=32,
        slots=4,
        seeing=16,
        look=8,
        scenery_slots=8,
        painting=(16, 16),
    ),
    "camera-small": CameraConfig(),
}
