"""RingTown: a one-way ring of two lanes, driven clockwise, whose ramps lead to a roundabout in its middle and back."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

from learned_sim_env.carla_standin.towns.curves import Pose, arc, connect
from learned_sim_env.carla_standin.towns.opendrive import LANE_WIDTH, Arm, Road, Town

EXITS = 4
RING_RADIUS, RING_LANES = 130.0, 2  # [m] of the ring's outer edge
ROUNDABOUT_RADIUS = 24.0  # [m] of the roundabout's inner edge
# [rad] from the axis of an exit to the ring's diverging and merging, and how much of the ring each of those takes.
SPREAD, TAPER = pi / 6, pi / 15
# [rad] half of the roundabout that the junction of an exit takes.
MOUTH = pi / 8


def ring_town() -> str:
    """The map as OpenDRIVE."""
    town = Town("RingTown")
    inbound, outbound = zip(*(_ramps(town, 2 * pi * k / EXITS) for k in range(EXITS)))
    _ring(town, inbound, outbound)
    _roundabout(town, inbound, outbound)
    return town.xml()


def _on_ring(angle: float, inwards: float = 0.0) -> Pose:
    """On the ring's outer edge or `inwards` of it [m], looking along the clockwise traffic."""
    return Pose(0.0, 0.0, angle).moved(RING_RADIUS - inwards).turned(-pi / 2)


def _ramps(town: Town, axis: float) -> tuple[Road, Road]:
    """The off-ramp to the roundabout and the on-ramp back to the ring, of the exit at an angle [rad]."""
    edge = RING_LANES * LANE_WIDTH + 1.5
    off = _on_ring(axis + SPREAD - TAPER, edge).turned(-0.12)
    on = _on_ring(axis - SPREAD + TAPER, edge).turned(0.12)
    mouth = Pose(0.0, 0.0, axis).moved(ROUNDABOUT_RADIUS + 26.0)
    # Two one-way roads side by side, whose inner edges are a traffic island apart.
    way_in, way_out = mouth.turned().moved(0.0, -1.5), mouth.moved(0.0, -1.5)
    return town.road(connect(off, way_in), "off-ramp"), town.road(connect(way_out, on), "on-ramp")


def _ring(town: Town, inbound: Sequence[Road], outbound: Sequence[Road]) -> None:
    """The ring between the ramps: a diverging and a merging junction for each exit."""
    spacing = 2 * pi / EXITS
    beside, between = [], []
    for k in range(EXITS):
        axis = k * spacing
        # Clockwise: first past the exit's axis, then on to the diverging of the exit before it.
        start, end = axis + SPREAD - TAPER, axis - SPREAD + TAPER
        beside.append(town.road(arc(_on_ring(start), RING_RADIUS, end - start), "ring", right=RING_LANES))
        start, end = axis - SPREAD, axis - spacing + SPREAD
        between.append(town.road(arc(_on_ring(start), RING_RADIUS, end - start), "ring", right=RING_LANES))
    for k in range(EXITS):
        before, after = Arm(between[(k + 1) % EXITS], "end"), Arm(beside[k], "start")
        diverging = town.junction()
        for lane in before.lanes_in:
            town.join(diverging, before, lane, after, lane)
        town.join(diverging, before, before.lanes_in[-1], Arm(inbound[k], "start"), -1)
        before, after = Arm(beside[k], "end"), Arm(between[k], "start")
        merging = town.junction()
        for lane in before.lanes_in:
            town.join(merging, before, lane, after, lane)
        town.join(merging, Arm(outbound[k], "end"), -1, after, after.lanes_out[-1])


def _roundabout(town: Town, inbound: Sequence[Road], outbound: Sequence[Road]) -> None:
    """Driven counter-clockwise, a junction at every exit."""
    spacing = 2 * pi / EXITS

    def at(angle: float) -> Pose:
        return Pose(0.0, 0.0, angle).moved(ROUNDABOUT_RADIUS).turned(pi / 2)

    arcs = [
        town.road(arc(at(k * spacing + MOUTH), ROUNDABOUT_RADIUS, spacing - 2 * MOUTH), "roundabout")
        for k in range(EXITS)
    ]
    for k in range(EXITS):
        junction = town.junction()
        before, after = Arm(arcs[k - 1], "end"), Arm(arcs[k], "start")
        town.join(junction, before, -1, after, -1)
        town.join(junction, before, -1, Arm(outbound[k], "start"), -1)
        town.join(junction, Arm(inbound[k], "end"), -1, after, -1)
