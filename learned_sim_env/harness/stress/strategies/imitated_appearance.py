"""Another light and another air over a camera's finished picture, whose depths are not known."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from learned_sim_env.rendering.camera import Appearance
from learned_sim_env.rendering.camera.light import hazy, lit
from learned_sim_env.spec import CAMERAS, CameraSpec

# [m] How far away what stands above the horizon is taken to be, and the least share of a colour that haze leaves where
# it is told from the haze again: less of it is mostly rounding.
BEYOND, LEAST_LEFT = 60.0, 0.2
_NO_LAMPS = np.zeros((0, 3), np.float32)


def towards(own: Appearance, condition: str, share: float) -> Appearance:
    """Between an appearance and one of `condition` in its colours: a `share` from 0 to 1 of the way.

    Lamps are lit from half of the way on. Sight is mixed as the reciprocal of its length, as densities of fog add up.
    """
    target = Appearance.named(condition, own.seed)
    changed: dict[str, Any] = {}
    for name in (f.name for f in fields(Appearance)):
        a, b = getattr(own, name), getattr(target, name)
        if isinstance(a, tuple):
            changed[name] = tuple((1 - share) * x + share * y for x, y in zip(a, b))
        elif name == "visibility":
            changed[name] = 1 / ((1 - share) / a + share / b)
        elif isinstance(a, float):
            changed[name] = (1 - share) * a + share * b
    half = target if share >= 0.5 else own
    return replace(own, condition=half.condition, lamps=half.lamps, **changed)


def imitated(view: np.ndarray, name: str, own: Appearance, new: Appearance) -> np.ndarray:
    """A picture as it would look in another appearance, if the ground were all that is below the horizon.

    Haze is taken off, light is exchanged, with the ego's headlights by night, and haze is put on, by the formulas of
    `rendering.camera.light` and `shading`. Above the horizon all takes the new sky's colour. Wet roads, rain, shadows
    and street lamps stay as they are.

    Args:
        view: (H, W, 3) uint8, drawn in `own`.
        name: of the camera; an unknown one looks straight ahead.
    """
    height, width = view.shape[:2]
    camera = replace(CAMERAS.get(name, CameraSpec()), height=height, width=width)
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    rays = camera.rays(rows, columns).reshape(-1, 3)
    below = rays[:, 2] < -1e-3
    reach = np.full(len(rays), np.inf)
    reach[below] = -camera.position[2] / rays[below, 2]
    places = np.array(camera.position[:2]) + np.where(below, reach, 0.0)[:, None] * rays[:, :2]
    far = np.where(below, reach * np.linalg.norm(rays, axis=-1), BEYOND).astype(np.float32)
    colour = view.reshape(-1, 3).astype(np.float32) / 255
    before, after = (np.array(a.horizon, np.float32) for a in (own, new))
    left = np.maximum(np.exp(-far / np.float32(own.visibility)), LEAST_LEFT)[:, None]
    bare = np.clip((colour - before * (1 - left)) / left, 0.0, 1.0)
    light_own, light_new = (_received(places, a) for a in (own, new))
    ground = hazy(bare * (light_new / np.maximum(light_own, 0.02)), far, new)
    # By its brightness: what is blue in an orange sky is no bluer by night.
    sky = hazy(colour.mean(-1, keepdims=True) / max(float(before.mean()), 0.02) * after, far, new)
    return (255 * np.clip(np.where(below[:, None], ground, sky), 0, 1)).round().astype(np.uint8).reshape(view.shape)


def _received(places: np.ndarray, a: Appearance) -> np.ndarray:
    """(N, 3): light that ground at places (N, 2) receives."""
    light = np.array(a.ambient, np.float32) + np.array(a.sun, np.float32) * np.float32(np.sin(a.sun_elevation))
    received = np.broadcast_to(light, (len(places), 3))
    return lit(received, places, _NO_LAMPS, a, lamp=0.0, beam=1.5) if a.lamps else received
