"""Stop lines are closed as their lights say, and run over in the lane's direction alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from learned_sim_env.simulators.carla.lights import StopLines, crossed
from tests.scenes import ego


def light(number: int, state: str, x: float) -> SimpleNamespace:
    """One that holds for a lane 4 m wide along +x, with its stop line at `x`."""
    place = SimpleNamespace(location=SimpleNamespace(x=x, y=0.0), rotation=SimpleNamespace(yaw=0.0))
    lane = SimpleNamespace(transform=place, lane_width=4.0, lane_type=SimpleNamespace(name="Driving"))
    pavement = SimpleNamespace(transform=place, lane_width=4.0, lane_type=SimpleNamespace(name="Sidewalk"))
    waypoints = [None, lane, pavement]
    return SimpleNamespace(id=number, state=SimpleNamespace(name=state), get_affected_lane_waypoints=lambda: waypoints)


@pytest.fixture
def lines() -> StopLines:
    """A green, a yellow and a red one, in this order along the lane."""
    lights = [light(1, "Green", 10.0), light(2, "Yellow", 20.0), light(3, "Red", 30.0)]
    actors = SimpleNamespace(filter=lambda kind: lights)
    return StopLines(SimpleNamespace(get_actors=lambda: actors))


def test_lines_are_closed_as_their_lights_say(lines):
    assert [line.points[0, 0] for line in lines.closed("Red", "Yellow")] == [20.0, 30.0]
    (red,) = lines.closed("Red")
    # From the left end to the right one, seen along the lane.
    assert red.points.tolist() == [[30.0, 2.0], [30.0, -2.0]]


@pytest.mark.parametrize(
    ("before", "after", "over"),
    [
        ((27.0, 0.0), (28.5, 0.0), True),
        ((25.0, 0.0), (27.0, 0.0), False),
        ((28.5, 0.0), (30.0, 0.0), False),
        ((28.5, 0.0), (27.0, 0.0), False),
        ((27.0, 3.0), (28.5, 3.0), False),
        ((17.0, 0.0), (18.5, 0.0), False),
    ],
    ids=["over it", "before it", "behind it", "backwards", "beside it", "at yellow"],
)
def test_a_red_line_is_run_over_by_the_front(lines, before, after, over):
    (x, y), (u, v) = before, after
    length = ego().length
    # The places above are those of a car 4 m long.
    shift = 2.0 - length / 2
    assert crossed(lines.closed("Red"), ego(x=x + shift, y=y), ego(x=u + shift, y=v)) == over
