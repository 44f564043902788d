"""What the stand-in's world needs to know of its OpenDRIVE map."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np

from learned_sim_env.carla_standin.world.signs import LIGHT, read_signals
from learned_sim_env.opendrive import open_map
from learned_sim_env.optional import require

# CARLA's tags of the lanes that pictures show, and [m] between the ends of their pieces.
LANE_TAGS, PIECE = {"Driving": 1, "Bidirectional": 1, "Shoulder": 1, "Parking": 1, "Sidewalk": 2}, 1.0
# [m] between spawn points of a lane, and from them to its ends and up from the road.
SPAWN_SPACING, SPAWN_MARGIN, SPAWN_HEIGHT = 20.0, 6.0, 0.3


class Roads:
    """A map by CARLA's own map code, which needs no server.

    Raises:
        ValueError: for text that is no OpenDRIVE, or has no lane to drive on.
    """

    def __init__(self, name: str, xodr: str):
        self.name, self.xodr = name, xodr
        self._carla = require("carla", extra="carla")
        self._map, root = open_map(f"map {name}", xodr)
        self.spawn_points = self._spawn_points()
        self.signals = read_signals(self._map)
        self.light_groups = self._light_groups(root)

    def lane_at(self, x: float, y: float) -> tuple[int, int, float] | None:
        """Road id, lane id and s of the lane to drive on at a place, None off the roads."""
        try:
            waypoint = self._map.get_waypoint(self._carla.Location(x, y, 0.0), project_to_road=False)
        except RuntimeError:  # CARLA's own complaint of a place exactly at the end of a lane
            return None
        return None if waypoint is None else (waypoint.road_id, waypoint.lane_id, waypoint.s)

    def geo(self, x: float, y: float, z: float) -> list[float]:
        """Latitude, longitude [deg] and altitude [m] of a place."""
        place = self._map.transform_to_geolocation(self._carla.Location(x, y, z))
        return [place.latitude, place.longitude, place.altitude]

    def waypoints(self, spacing: float) -> list[Any]:
        """CARLA's waypoints of all lanes to drive on, in a fixed order."""
        return sorted(self._map.generate_waypoints(spacing), key=lambda w: (w.road_id, w.lane_id, w.s))

    def lane_pieces(self) -> list[tuple[np.ndarray, int]]:
        """Corners (4, 2) [m] and tag of short pieces of all lanes."""
        pieces = []
        for lane in self._all_lanes():
            if lane.lane_type.name not in LANE_TAGS:
                continue
            for after in lane.next(PIECE):
                edges = [_edge(w, side) for w, side in ((lane, -1), (lane, 1), (after, 1), (after, -1))]
                pieces.append((np.array(edges), LANE_TAGS[lane.lane_type.name]))
        return pieces

    def line_pieces(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Ends (2,) [m] of short pieces of all painted lines; broken ones have gaps."""
        pieces = []
        for w in self.waypoints(PIECE):
            for marking, side in ((w.left_lane_marking, -1), (w.right_lane_marking, 1)):
                broken = marking.type.name == "Broken"
                if marking.type.name == "NONE" or (broken and int(w.s) % 9 >= 3):
                    continue
                pieces += [(_edge(w, side), _edge(after, side)) for after in w.next(PIECE)[:1]]
        return pieces

    def _all_lanes(self) -> list[Any]:
        """Waypoints of all lanes, those beside the ones to drive on too."""
        lanes = []
        for w in self.waypoints(PIECE):
            lanes.append(w)
            beside = w.get_right_lane()
            while beside is not None and beside.lane_type.name != "Driving":
                lanes.append(beside)
                beside = beside.get_right_lane()
        return lanes

    def _spawn_points(self) -> list[list[float]]:
        points: list[list[float]] = []
        last: Any = None
        for w in self.waypoints(2.0):
            fresh = last is None or (w.road_id, w.lane_id) != (last.road_id, last.lane_id)
            if w.is_junction or (not fresh and w.s - last.s < SPAWN_SPACING) or (fresh and w.s < SPAWN_MARGIN):
                continue
            last, t = w, w.transform
            points.append([t.location.x, t.location.y, SPAWN_HEIGHT, 0.0, t.rotation.yaw, 0.0])
        return points

    def _light_groups(self, root: ElementTree.Element) -> list[list[list[str]]]:
        """Lights' ids by junction and controller, each once; a light without a controller is alone."""
        lights = [signal.id for signal in self.signals if signal.type == LIGHT]
        free = set(lights)
        controllers = {
            c.get("id"): [control.get("signalId", "") for control in c.iter("control")]
            for c in root.findall("controller")
        }
        groups: list[list[list[str]]] = []
        for junction in root.findall("junction"):
            groups.append([])
            for controller in junction.findall("controller"):
                turn = [signal for signal in dict.fromkeys(controllers.get(controller.get("id"), [])) if signal in free]
                free.difference_update(turn)
                groups[-1] += [turn] if turn else []
        groups += [[[light]] for light in lights if light in free]
        return [group for group in groups if group]


def _edge(waypoint: Any, side: int) -> np.ndarray:
    """(2,) [m]: the lane's left (-1) or right (1) edge beside a waypoint."""
    t = waypoint.transform
    right, half = t.get_right_vector(), side * waypoint.lane_width / 2
    return np.array([t.location.x + right.x * half, t.location.y + right.y * half])
