"""Shadows on the ground: where the sun does not reach it, or, without a sun, where something stands close above."""

from __future__ import annotations

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.rendering.camera.appearance import Appearance
from learned_sim_env.rendering.camera.faces import NEAR, SHIFT, clipped, outline
from learned_sim_env.rendering.camera.things import SHAPES, Things
from learned_sim_env.spec import CameraSpec

REACH = 60.0  # [m] Shadows of things farther than this are left out.
LONGEST = 25.0  # [m]
_CROWNS = np.array([name in ("tree", "conifer", "bush") for name in SHAPES])


def shadow_outlines(
    things: Things, heading: float, ego_size: tuple[float, float], appearance: Appearance
) -> list[np.ndarray]:
    """Outlines (n, 2) float32 [m], ego frame, of the shadows of things near the ego, and of the ego."""
    cv2 = opencv()
    rows = np.flatnonzero(np.hypot(things.poses[:, 0], things.poses[:, 1]) < REACH)
    poses = np.concatenate([things.poses[rows], np.zeros((1, 3))])
    sizes = np.concatenate([things.sizes[rows], np.array([[*ego_size, 1.5]])])
    crown = np.append(_CROWNS[things.shapes[rows]], False)
    half = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2
    c, s = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
    x, y = half[:, 0] * sizes[:, :1], half[:, 1] * sizes[:, 1:2]
    foot = np.stack([x * c - y * s, x * s + y * c], -1) + poses[:, None, :2]
    if appearance.sun[0] <= 0:
        return list(foot[~crown].astype(np.float32))
    sun = appearance.sun_direction
    length = np.minimum(sizes[:, 2] / np.tan(appearance.sun_elevation), LONGEST)
    c, sn = np.cos(heading), np.sin(heading)
    flat = np.array([sun[0] * c + sun[1] * sn, -sun[0] * sn + sun[1] * c]) / max(np.hypot(sun[0], sun[1]), 1e-6)
    shift = -flat * length[:, None]
    # The upper half of a tree shades the ground, and its trunk too little to see.
    start = np.where(crown[:, None], 0.45 * shift, 0.0)
    points = np.concatenate([foot + start[:, None], foot + shift[:, None]], 1).astype(np.float32)
    return [cv2.convexHull(p)[:, 0] for p in points]


def shadow_share(outlines: list[np.ndarray], camera: CameraSpec, samples: int) -> np.ndarray:
    """(H, W) float32: the share of each pixel that shadows on the ground cover; `samples` by `samples` are taken."""
    cv2 = opencv()
    image = np.zeros((camera.height * samples, camera.width * samples), np.uint8)
    ends = np.cumsum([len(each) for each in outlines])
    starts = np.concatenate([[0], ends[:-1]])
    points = np.concatenate([np.concatenate(outlines), np.zeros((ends[-1], 1), np.float32)], 1)
    inside = (points - np.asarray(camera.position)) @ camera.rotation.T
    x, _, depth = inside.T
    wide = camera.width / 2 / camera.focal_length
    out = [np.logical_and.reduceat(beyond, starts) for beyond in (depth < NEAR, x > wide * depth, x < -wide * depth)]
    cut = np.logical_or.reduceat(depth < NEAR, starts)
    for i in np.flatnonzero(~np.any(out, axis=0)):
        polygon = inside[starts[i] : ends[i]]
        if cut[i]:
            polygon = clipped(polygon)
        cv2.fillConvexPoly(image, outline(polygon, camera, samples), 255, 8, SHIFT)
    return cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA) / np.float32(255)
