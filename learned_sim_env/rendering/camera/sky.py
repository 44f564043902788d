"""The sky: its colours from horizon to zenith, clouds, the sun, and hills at its edge."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from learned_sim_env.rendering.camera.appearance import Appearance
from learned_sim_env.rendering.camera.ground import tiled_noise
from learned_sim_env.rendering.camera.light import hazy

HILLS = 420.0  # [m] away
_CLOUD_SCALE = 28.0  # Cells of the tile of clouds for each height of the clouds above the ground.


class Sky:
    """What pixels above the horizon look at. rays: (N, 3) float32, unit, ego frame."""

    def __init__(self, rays: np.ndarray):
        self._rays = rays
        up = self._up = np.maximum(rays[:, 2], 0)
        flat = rays[:, :2] / np.linalg.norm(rays[:, :2], axis=-1, keepdims=True)
        self._azimuth = np.arctan2(rays[:, 1], rays[:, 0])
        self._height = (1 - np.exp(-up * 4.5))[:, None]
        # Where rays meet the plane in which clouds lie, which is far but finite at the horizon.
        self._places = flat * (np.sqrt(1 - up**2) / np.maximum(up, 0.03) * _CLOUD_SCALE)[:, None]
        self._fade = np.clip(up * 9, 0, 1)
        self._low = np.flatnonzero(up < 0.06)

    def colours(self, heading: float, appearance: Appearance) -> np.ndarray:
        """(N, 3) float32: as seen by an ego with `heading` [rad]."""
        sun, ambient, ground, horizon, zenith = (
            np.array(getattr(appearance, name), np.float32)
            for name in ("sun", "ambient", "ground", "horizon", "zenith")
        )
        c, s = np.float32(np.cos(heading)), np.float32(np.sin(heading))
        colour = horizon + (zenith - horizon) * self._height
        if appearance.clouds > 0:
            x, y = self._places[:, 0] * c - self._places[:, 1] * s, self._places[:, 0] * s + self._places[:, 1] * c
            noise = _clouds()[y.astype(np.int64) & 255, x.astype(np.int64) & 255]
            cover = np.clip((noise - np.float32(1 - 1.4 * appearance.clouds)) * np.float32(1.6), 0, 0.85) * self._fade
            white = 0.45 * horizon + 0.55 * np.clip(ambient + 0.6 * sun, 0, 1)
            colour += (white - colour) * cover[:, None]
        if appearance.sun[0] > 0:
            d = appearance.sun_direction
            near = np.clip(self._rays @ np.array([d[0] * c + d[1] * s, -d[0] * s + d[1] * c, d[2]], np.float32), 0, 1)
            around = np.flatnonzero(near > 0.7)
            if len(around):
                glow = 0.35 * near[around] ** 12 + 1.2 * near[around] ** 700
                colour[around] += glow[:, None] * sun
        low = self._low
        azimuth = self._azimuth[low] + np.float32(heading)
        hills = 0.022 + 0.02 * np.sin(azimuth * 3 + appearance.seed % 7) + 0.012 * np.sin(azimuth * 11 + 1.3)
        hidden = low[self._up[low] < np.maximum(hills, 0.004)]
        wood = np.broadcast_to(ground * (ambient + 0.5 * sun) * 0.75, (len(hidden), 3))
        colour[hidden] = hazy(wood, np.full(len(hidden), HILLS, np.float32), appearance)
        return colour


@lru_cache(maxsize=1)
def _clouds() -> np.ndarray:
    """(256, 256) float32, 0 to 1: a tile of cloud that repeats without a seam."""
    rng = np.random.default_rng(0xC10)
    total = np.zeros((256, 256))
    for cells, weight in ((8, 1.0), (16, 0.6), (64, 0.3)):
        total += weight * tiled_noise(rng, cells, 256)
    return ((total - total.min()) / np.ptp(total)).astype(np.float32)
