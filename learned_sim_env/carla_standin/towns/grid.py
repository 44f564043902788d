"""GridTown: blocks of 90 m, two lanes a direction between junctions with lights, rounded corners, sidewalks."""

from __future__ import annotations

from math import atan2, cos, pi, sin

from learned_sim_env.carla_standin.towns.curves import Path, Pose, arc, line
from learned_sim_env.carla_standin.towns.opendrive import Arm, Junction, Town

COLUMNS, ROWS, BLOCK = 4, 3, 90.0  # [m]
# [m] from the middle of a junction to the ends of its arms, and the radius of the rounded corners.
JUNCTION_REACH, CORNER_RADIUS = 18.0, 25.0
LANES = 2
Node = tuple[int, int]


def grid_town() -> str:
    """The map as OpenDRIVE."""
    town = Town("GridTown")
    arms: dict[Node, list[Arm]] = {node: [] for node in _nodes() if not _corner(node)}
    for a, b, path in _streets():
        road = town.road(path, "street", right=LANES, left=LANES, sidewalks=True)
        arms[a].append(Arm(road, "start"))
        arms[b].append(Arm(road, "end"))
    for node in arms:
        _crossing(town, arms[node])
    return town.xml()


def _nodes() -> list[Node]:
    return [(i, j) for i in range(COLUMNS) for j in range(ROWS)]


def _corner(node: Node) -> bool:
    return node[0] in (0, COLUMNS - 1) and node[1] in (0, ROWS - 1)


def _streets() -> list[tuple[Node, Node, Path]]:
    """(node, node, path) of every street; those that meet at a corner are one."""
    streets = []
    for a in _nodes():
        for b in ((a[0] + 1, a[1]), (a[0], a[1] + 1)):
            if b[0] < COLUMNS and b[1] < ROWS and not _corner(a) and not _corner(b):
                streets.append((a, b, line(_leaving(a, b), BLOCK - 2 * JUNCTION_REACH)))
    for corner in filter(_corner, _nodes()):
        beside = (corner[0] + (1 if corner[0] == 0 else -1), corner[1])
        above = (corner[0], corner[1] + (1 if corner[1] == 0 else -1))
        start, end = _leaving(beside, corner), _leaving(above, corner)
        turn = (end.heading + pi - start.heading + pi) % (2 * pi) - pi
        first = line(start, BLOCK - JUNCTION_REACH - CORNER_RADIUS)
        bend = arc(first[-1].end, CORNER_RADIUS, turn)
        streets.append((beside, above, first + bend + line(bend[-1].end, BLOCK - JUNCTION_REACH - CORNER_RADIUS)))
    return streets


def _leaving(node: Node, towards: Node) -> Pose:
    """Where the street from `node` towards another one begins."""
    heading = atan2(towards[1] - node[1], towards[0] - node[0])
    return Pose(node[0] * BLOCK, node[1] * BLOCK, heading).moved(JUNCTION_REACH)


def _crossing(town: Town, arms: list[Arm]) -> None:
    """Connect all arms of a junction: straight on in every lane, left from the inner lane, right from the outer one."""
    junction = town.junction()
    for source in arms:
        for target in arms:
            if source is target:
                continue
            turn = _turn(source, target)
            if abs(turn) < pi / 4:
                lanes = list(zip(source.lanes_in, target.lanes_out))
            else:
                inner = 0 if turn > 0 else -1
                lanes = [(source.lanes_in[inner], target.lanes_out[inner])]
            for lane_in, lane_out in lanes:
                town.join(junction, source, lane_in, target, lane_out)
    for arm in arms:
        s = 3.0
        arm.road.crosswalks.append(s if arm.contact == "start" else sum(p.length for p in arm.road.path) - s)
    _lights(town, junction, arms)


def _turn(source: Arm, target: Arm) -> float:
    """Angle [rad] between the way in and the way out, left positive."""
    return (target.pose.heading + pi - source.pose.heading + pi) % (2 * pi) - pi


def _lights(town: Town, junction: Junction, arms: list[Arm]) -> None:
    """Streets along x have green together, then those along y."""
    along_x = [arm for arm in arms if abs(cos(arm.pose.heading)) > abs(sin(arm.pose.heading))]
    along_y = [arm for arm in arms if arm not in along_x]
    town.lights(junction, [along_x, along_y], before=5.5)
