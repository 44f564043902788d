"""Light and air: what reaches a surface by night, and what haze leaves of a colour."""

from __future__ import annotations

import numpy as np

from learned_sim_env.rendering.camera.appearance import Appearance

LAMP_LIGHT = np.array((1.0, 0.82, 0.52), np.float32)
HEADLIGHT = np.array((0.95, 0.95, 0.88), np.float32)
LAMP_ARM = 1.5  # [m] from a lamp's pole to its light
LAMPS = 10  # The nearest so many shine.


def lamplight(places: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    """(N,) float32: light of street lamps (M, 3) x, y, heading at ego-frame places (N, 2), 1 right below one."""
    total = np.zeros(len(places), np.float32)
    heads = lamps[:, :2] + LAMP_ARM * np.stack([np.cos(lamps[:, 2]), np.sin(lamps[:, 2])], -1)
    for x, y in heads[np.argsort((heads**2).sum(-1), kind="stable")[:LAMPS]].astype(np.float32):
        away2 = (places[:, 0] - x) ** 2 + (places[:, 1] - y) ** 2
        total += 1 / (1 + away2 * np.float32(1 / 60)) ** 2
    return total


def headlight(places: np.ndarray) -> np.ndarray:
    """(N,) float32: light of the ego's headlights at ego-frame places (N, 2), 1 close ahead."""
    x, y = places[:, 0] - 2.0, places[:, 1]
    away = np.hypot(x, y)
    angle = np.arctan2(y, x)
    beam = np.exp(-((angle / 0.32) ** 2)) * (x > 0)
    return (beam * np.clip(away / 4.0, 0.25, 1.0) / (1 + (away / 17.0) ** 2)).astype(np.float32)


def lit(
    received: np.ndarray, places: np.ndarray, lamps: np.ndarray, appearance: Appearance, lamp: float, beam: float
) -> np.ndarray:
    """(N, 3): light `received` at places (N, 2), and by night that of lamps and headlights, times `lamp` and `beam`.

    The lighter the sky, the less they add. lamps: (M, 3), see `lamplight`.
    """
    dark = np.float32(1.0 - min(1.0, 1.4 * float(np.array(appearance.ambient, np.float32).mean())))
    received = received + LAMP_LIGHT * (lamp * dark * lamplight(places, lamps))[:, None]
    return received + HEADLIGHT * (beam * dark * headlight(places))[:, None]


def hazy(colours: np.ndarray, ranges: np.ndarray, appearance: Appearance) -> np.ndarray:
    """Colours (N, 3) float32 as they look from `ranges` (N,) [m] away."""
    left = np.exp(-ranges / np.float32(appearance.visibility))[:, None]
    return colours * left + np.array(appearance.horizon, np.float32) * (1 - left)
