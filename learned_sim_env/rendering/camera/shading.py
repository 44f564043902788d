"""Colours of the ground and of faces in the light of an appearance."""

from __future__ import annotations

import numpy as np

from learned_sim_env.rendering.camera import light
from learned_sim_env.rendering.camera.appearance import CAR_COLOURS, Appearance
from learned_sim_env.rendering.camera.faces import Faces
from learned_sim_env.rendering.camera.mesh import Material
from learned_sim_env.rendering.camera.things import Things

KERB_COLOUR = np.array((0.55, 0.54, 0.52), np.float32)
BROKEN_COLOUR = np.array((0.9, 0.9, 0.88), np.float32)
_COLOURS = {
    Material.TRIM: (0.10, 0.10, 0.11),
    Material.GLASS: (0.10, 0.13, 0.16),
    Material.TYRE: (0.05, 0.05, 0.055),
    Material.HEADLIGHT: (0.92, 0.93, 0.90),
    Material.TAILLIGHT: (0.62, 0.04, 0.04),
    Material.CARGO: (0.78, 0.78, 0.76),
    Material.LEAF: (0.20, 0.37, 0.13),
    Material.LEAF_DARK: (0.12, 0.25, 0.09),
    Material.LEAF_LIGHT: (0.32, 0.48, 0.18),
    Material.NEEDLE: (0.11, 0.26, 0.15),
    Material.NEEDLE_DARK: (0.07, 0.17, 0.10),
    Material.TRUNK: (0.25, 0.18, 0.12),
    Material.WINDOW: (0.16, 0.20, 0.25),
    Material.METAL: (0.46, 0.47, 0.48),
    Material.LAMP: (0.75, 0.75, 0.70),
    Material.WHITE: (0.90, 0.90, 0.88),
    Material.ORANGE: (0.95, 0.36, 0.06),
    Material.RED: (0.80, 0.08, 0.07),
    Material.SKIN: (0.72, 0.52, 0.40),
    Material.RED_LIGHT: (1.0, 0.08, 0.06),
}
_TABLE = np.zeros((len(Material), 3), np.float32)
for _material, _colour in _COLOURS.items():
    _TABLE[_material] = _colour
# Materials with a colour of the thing's own, and what they choose from.
_OWN = {
    Material.BODY: CAR_COLOURS,
    Material.WALL: np.array(
        ((0.80, 0.76, 0.68), (0.68, 0.42, 0.32), (0.86, 0.84, 0.80), (0.62, 0.60, 0.57), (0.78, 0.68, 0.48))
    ),
    Material.ROOF: np.array(((0.45, 0.20, 0.15), (0.28, 0.27, 0.28), (0.38, 0.30, 0.24))),
    Material.SHIRT: np.array(
        ((0.70, 0.16, 0.16), (0.16, 0.30, 0.60), (0.85, 0.80, 0.30), (0.82, 0.82, 0.80), (0.15, 0.15, 0.17))
    ),
    Material.TROUSERS: np.array(((0.14, 0.17, 0.30), (0.20, 0.20, 0.20), (0.40, 0.34, 0.26))),
}
# What shines where lamps are lit, and how much.
_SHINES = {Material.HEADLIGHT: 1.0, Material.TAILLIGHT: 1.35, Material.LAMP: 1.25}
_LEAVES = (Material.LEAF, Material.LEAF_DARK, Material.LEAF_LIGHT, Material.NEEDLE, Material.NEEDLE_DARK)


def ground_colours(
    shares: np.ndarray,
    grain: np.ndarray,
    shadow: np.ndarray,
    places: np.ndarray,
    ranges: np.ndarray,
    rays: np.ndarray,
    lamps: np.ndarray,
    appearance: Appearance,
) -> np.ndarray:
    """(G, 3) float32 colours of ground pixels.

    Args:
        shares: (G, 4) of `ground.MATERIALS`. grain: (G,) around 1. shadow: (G,) share in the shadow.
        places: (G, 2) [m]; ranges: (G,) [m]; rays: (G, 3): where they look, ego frame.
        lamps: (M, 3), see `Things.lamps`.
    """
    road, kerb, broken, solid = shares.T
    lines = np.minimum(broken + solid, 1)
    road = np.maximum(road - lines, 0)
    kerb = np.minimum(kerb, 1 - lines - road)
    near = np.exp(-ranges / 25)
    rough = 1 + (grain - 1) * near
    asphalt, earth, paint = (np.array(c, np.float32) for c in (appearance.asphalt, appearance.ground, appearance.paint))
    wet = np.float32(appearance.wetness)
    colour = earth * ((1 - road - kerb - lines) * (1 + 2.2 * (rough - 1)))[:, None]
    colour += (asphalt * (1 - 0.45 * wet)) * (road * rough)[:, None]
    colour += KERB_COLOUR * (kerb * rough)[:, None]
    colour += BROKEN_COLOUR * broken[:, None] + paint * np.minimum(solid, 1 - np.minimum(broken, 1))[:, None]
    sun, ambient = np.array(appearance.sun, np.float32), np.array(appearance.ambient, np.float32)
    lit = 1 - shadow
    if appearance.sun[0] > 0:
        received = ambient + sun * np.float32(np.sin(appearance.sun_elevation)) * lit[:, None]
    else:  # Of an even sky, what stands above takes a part.
        received = ambient * (0.45 + 0.55 * lit)[:, None]
    if appearance.lamps:
        received = light.lit(received, places, lamps, appearance, lamp=1.1, beam=1.5)
    colour = colour * received
    if wet > 0:  # The road mirrors the sky, the more the flatter one looks (Schlick's approximation).
        mirror = 0.05 + 0.75 * (1 - np.abs(rays[:, 2])) ** 5
        share = (wet * (road + lines) * mirror)[:, None]
        colour += (np.array(appearance.horizon, np.float32) - colour) * share
    return light.hazy(colour, ranges, appearance)


def face_colours(faces: Faces, things: Things, heading: float, eye: np.ndarray, appearance: Appearance) -> np.ndarray:
    """(F + 1, 3) float32: row 1 + i is the colour of face i, as seen from `eye` (3,), ego frame; row 0 is black."""
    material, looks = faces.materials, things.looks[faces.things]
    colour = _TABLE[material]
    for own, choice in _OWN.items():
        rows = material == own
        if rows.any():
            # Common colours of cars come first.
            skewed = looks[rows] ** 1.6 if own == Material.BODY else (looks[rows] * (7.0 + own)) % 1.0
            colour[rows] = choice[(skewed * len(choice)).astype(int)]
    leaves = np.isin(material, _LEAVES)
    colour[leaves] *= (0.75 + 0.5 * looks[leaves])[:, None].astype(np.float32)
    middle = faces.corners.mean(1)
    normal = np.where(faces.flat[:, None], np.array((0, 0, 0.6), np.float32), faces.normals)
    s, c, sn = appearance.sun_direction, np.cos(heading), np.sin(heading)
    towards = np.array([s[0] * c + s[1] * sn, -s[0] * sn + s[1] * c, s[2]], np.float32)
    sun, ambient = np.array(appearance.sun, np.float32), np.array(appearance.ambient, np.float32)
    facing = np.where(faces.flat, 0.55, np.maximum(normal @ towards, 0))
    received = ambient * (0.72 + 0.28 * normal[:, 2])[:, None] + sun * facing[:, None]
    if appearance.lamps:
        received = light.lit(received, middle[:, :2], things.lamps, appearance, lamp=0.8, beam=1.2)
    glass = np.isin(material, (Material.GLASS, Material.WINDOW))
    sky_seen = np.array(appearance.horizon, np.float32) * 0.35
    colour = colour * received + glass[:, None] * sky_seen
    if appearance.lamps:
        for shining, strength in _SHINES.items():
            colour[material == shining] = _TABLE[shining] * np.float32(strength)
        lit = (material == Material.WINDOW) & ((looks * 91 + middle[:, 2] * 0.37) % 1.0 > 0.5) & (ambient.mean() < 0.4)
        colour[lit] = (0.95, 0.78, 0.42)
    colour[material == Material.RED_LIGHT] = _TABLE[Material.RED_LIGHT]
    colour = light.hazy(colour, np.linalg.norm(middle - eye.astype(np.float32), axis=-1), appearance)
    return np.concatenate([np.zeros((1, 3), np.float32), colour]).astype(np.float32)
