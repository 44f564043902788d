"""Scenes made by hand: a straight road along +x with known edges, an ego anywhere on it, agents of any kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from learned_sim_env.scene import Agents, Ego, Lane, Line, RoadMap, Scene, to_frame
from learned_sim_env.spec import SemanticClass

LENGTH, WIDTH = 4.5, 1.8  # [m] of the ego


def lane(y: float, width: float = 3.5, ends: tuple[float, float] = (-200.0, 200.0), **more) -> Lane:
    """A straight lane around `y`, driven from the first end to the second."""
    centre = np.stack([np.linspace(*ends, 201), np.full(201, y)], -1)
    low, high = y - width / 2, y + width / 2
    polygon = np.array([(ends[0], low), (ends[1], low), (ends[1], high), (ends[0], high)])
    return Lane(polygon, centre, **more)


def line(y: float, ends: tuple[float, float] = (-198.0, 198.0), **more) -> Line:
    """A straight marking along `y`."""
    return Line(np.array([(ends[0], y), (ends[1], y)]), **more)


def straight_road(width: float = 3.5, destination: float = 150.0) -> RoadMap:
    """The route's lane around y = 0, another beside it on the left, and beyond that one in the other direction."""
    lanes = (lane(0.0, width, on_route=True), lane(width, width), lane(2 * width, width, ends=(200.0, -200.0)))
    lines = (line(-width / 2), line(width / 2, broken=True), line(1.5 * width, broken=True), line(2.5 * width))
    route = np.stack([np.linspace(-180.0, destination, 166), np.zeros(166)], -1)
    return RoadMap(lanes, lines, route)


def ego(x: float = 0.0, y: float = 0.0, heading: float = 0.0, velocity=(0.0, 0.0), **more) -> Ego:
    """The ego, at rest unless said."""
    values = {"yaw_rate": 0.0, "acceleration": 0.0, "steer": 0.0, "throttle_brake": 0.0, "length": LENGTH} | more
    return Ego(x=x, y=y, heading=heading, velocity=velocity, width=WIDTH, **values)


def agents(*rows: tuple[SemanticClass, float, float, float, float, float]) -> Agents:
    """Agents at rest, each as class, x, y, heading, length, width."""
    values = np.array([row[1:] for row in rows], np.float32).reshape(-1, 5)
    classes = np.array([row[0] for row in rows], np.uint8)
    return Agents(np.arange(len(rows)), classes, values[:, :3], values[:, 3:], np.zeros((len(rows), 2), np.float32))


def scene(road_map: RoadMap | None = None, others: Agents | None = None, contacts=(), **ego_values) -> Scene:
    """A scene of all this."""
    road_map = straight_road() if road_map is None else road_map
    return Scene(road_map, ego(**ego_values), Agents.none() if others is None else others, frozenset(contacts))


def moved(before: Scene, dx: float, dy: float, turn: float) -> Scene:
    """The whole world turned about the origin [rad], then shifted [m]: nothing is different from inside it."""
    c, s = np.cos(turn), np.sin(turn)

    def rotated(points: np.ndarray) -> np.ndarray:
        return to_frame(points, np.array([0.0, 0.0, -turn]))

    def shifted(points: np.ndarray) -> np.ndarray:
        return rotated(points) + np.array([dx, dy])

    road_map = RoadMap(
        tuple(replace(a, polygon=shifted(a.polygon), centre=shifted(a.centre)) for a in before.road_map.lanes),
        tuple(replace(a, points=shifted(a.points)) for a in before.road_map.lines),
        shifted(before.road_map.route),
    )
    e, others = before.ego, before.agents
    vx, vy = e.velocity
    poses = np.concatenate([shifted(others.poses[:, :2]), others.poses[:, 2:] + turn], -1).astype(np.float32)
    x, y = shifted(e.pose[:2])
    return Scene(
        road_map,
        replace(e, x=x, y=y, heading=e.heading + turn, velocity=(c * vx - s * vy, s * vx + c * vy)),
        replace(others, poses=poses, velocities=rotated(others.velocities).astype(np.float32)),
        before.contacts,
    )
