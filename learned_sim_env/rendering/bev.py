"""A `Scene` as a bird's-eye view of class ids."""

from __future__ import annotations

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.rendering.boxes import paint_boxes, paint_ego
from learned_sim_env.road import road_index
from learned_sim_env.scene import Scene, to_frame, wrap_angle
from learned_sim_env.spec import BevSpec, SemanticClass

# OpenCV draws at fixed-point coordinates: this many bits behind the point.
_SHIFT = 6


class BevRenderer:
    """Draws the ego's surroundings: the ego fixed at its pixel and facing up, one class id a pixel."""

    def __init__(self, bev: BevSpec):
        self.bev = bev
        corners = bev.pixel_centres()[[0, 0, -1, -1], [0, -1, 0, -1]]
        # [m] to the farthest pixel; pieces up to 3 m long are chosen by their middle.
        self._reach = float(np.hypot(*corners.T).max()) + 2.0

    def map_layer(self, scene: Scene) -> np.ndarray:
        """(H, W) uint8: road, route, lane markings and closed stop lines, without agents and ego."""
        cv2 = opencv()
        index = road_index(scene.road_map)
        pose = scene.ego.pose
        image = np.zeros((self.bev.height, self.bev.width), np.uint8)
        lanes = [scene.road_map.lanes[i] for i in index.lanes_near(pose[:2], self._reach)]
        for lane in sorted(lanes, key=lambda lane: lane.on_route):
            colour = int(SemanticClass.ROUTE if lane.on_route else SemanticClass.ROAD)
            cv2.fillPoly(image, [self._pixels(lane.polygon, pose)], colour, lineType=cv2.LINE_8, shift=_SHIFT)
        for pieces, colour in ((index.broken, SemanticClass.BROKEN_LINE), (index.solid, SemanticClass.SOLID_LINE)):
            near = ((pieces.mean(1) - pose[:2]) ** 2).sum(-1) < self._reach**2
            if near.any():
                lines = list(self._pixels(pieces[near], pose))
                cv2.polylines(image, lines, False, int(colour), 1, lineType=cv2.LINE_8, shift=_SHIFT)
        if scene.closed_lines:
            lines = [self._pixels(line.points, pose) for line in scene.closed_lines]
            cv2.polylines(image, lines, False, int(SemanticClass.SOLID_LINE), 1, lineType=cv2.LINE_8, shift=_SHIFT)
        return image

    def semantic(self, scene: Scene, map_layer: np.ndarray | None = None) -> np.ndarray:
        """(H, W) uint8: the whole view. `map_layer` spares drawing the map twice."""
        image = (self.map_layer(scene) if map_layer is None else map_layer).copy()[None]
        agents, pose = scene.agents, scene.ego.pose
        if len(agents):
            poses = np.empty((len(agents), 3))
            poses[:, :2] = to_frame(agents.poses[:, :2].astype(np.float64), pose)
            poses[:, 2] = wrap_angle(agents.poses[:, 2] - pose[2])
            paint_boxes(image, np.zeros(len(agents), np.int64), poses, agents.sizes, agents.classes, self.bev)
        paint_ego(image, scene.ego.length, scene.ego.width, self.bev)
        return image[0]

    def _pixels(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """World points (..., 2) as fixed-point (column, row) for OpenCV, int32."""
        row, column = self.bev.pixels(to_frame(points, pose))
        return np.rint(np.stack([column, row], axis=-1) * (1 << _SHIFT)).astype(np.int32)
