"""A drive as one picture: where it went, and what was around it at some moments, from above and in its cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from learned_sim_env.films import above as stacked
from learned_sim_env.films import beside
from learned_sim_env.optional import opencv
from learned_sim_env.recordings.drives import Drive
from learned_sim_env.recordings.film import Footage
from learned_sim_env.recordings.views import Views
from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.rendering.boxes import paint_boxes
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.spec import CONTRACTS, BevSpec, SemanticClass

# Moments that are shown from above, in two rows, and by cameras; [pixels] between pictures.
MOMENTS, SEEN, GAP = 8, 4, 2
# [m] around the path that are shown.
AROUND = 25.0
# Of the path as it was recorded, and as it is driven.
RECORDED, DRIVEN = (255, 255, 255), (255, 0, 160)


def strip(drive: Drive | Footage, views: Views) -> np.ndarray:
    """(H, W, 3) uint8: where it went, beside its surroundings at `MOMENTS` moments; below, cameras at `SEEN`. Of a film
    its pictures.
    """
    if isinstance(drive, Footage):
        return beside(drive.pictures[_moments(drive, SEEN)], GAP)
    renderer = BevRenderer(CONTRACTS["driving"].bev)
    above = [colourise(renderer.semantic(drive.scene(int(t)))) for t in _moments(drive, MOMENTS)]
    half = MOMENTS // 2
    around = stacked([beside(row, GAP) for row in (above[:half], above[half:])], GAP)
    rows = [beside([overview(drive, len(around)), around], GAP)]
    rows += [beside(frames[_moments(drive, SEEN)], GAP) for frames in views.frames.values()]
    wide = max(row.shape[1] for row in rows)
    return stacked([np.pad(row, ((0, 0), (0, wide - row.shape[1]), (0, 0))) for row in rows], GAP)


def _moments(drive: Drive | Footage, count: int) -> np.ndarray:
    return np.linspace(0, len(drive), count).round().astype(int)


def overview(drive: Drive, side: int) -> np.ndarray:
    """(side, side, 3) uint8: the map, who is there at first, and the whole path, which goes upwards on the whole."""
    cv2 = opencv()
    path, first = drive.car.centre(drive.states), drive.scene(0)
    low, high = path[:, :2].min(0), path[:, :2].max(0)
    towards = path[-1, :2] - path[0, :2]
    heading = float(np.arctan2(towards[1], towards[0])) if np.hypot(*towards) > 1.0 else float(path[0, 2])
    middle = np.array([*(low + high) / 2, heading])
    wide = 2 * (float(np.abs(to_frame(path[:, :2], middle)).max()) + AROUND)
    spec = BevSpec(side, side, wide / side, side // 2, side // 2)
    x, y, heading = middle.tolist()
    image = BevRenderer(spec).map_layer(replace(first, ego=replace(first.ego, x=x, y=y, heading=heading)))[None]
    poses = np.concatenate([first.ego.pose[None], first.agents.poses]).astype(np.float64)
    poses = np.concatenate([to_frame(poses[:, :2], middle), wrap_angle(poses[:, 2:] - heading)], -1)
    sizes = np.concatenate([[(first.ego.length, first.ego.width)], first.agents.sizes])
    classes = np.concatenate([[SemanticClass.EGO], first.agents.classes]).astype(np.uint8)
    paint_boxes(image, np.zeros(len(poses), np.int64), poses, sizes, classes, spec)
    picture = np.ascontiguousarray(colourise(image[0]))
    for places, colour, dots in ((path[:, :2], DRIVEN, False), (drive.recorded[:, :2], RECORDED, True)):
        row, column = spec.pixels(to_frame(places, middle))
        points = np.stack([column, row], -1).round().astype(np.int32)
        if dots:
            inside = ((points >= 0) & (points < side)).all(-1)
            picture[points[inside, 1], points[inside, 0]] = colour
        else:
            cv2.polylines(picture, [points], False, colour, 1, lineType=cv2.LINE_AA)
    return picture
