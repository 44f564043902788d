"""CommonRoad's scenarios."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.recordings.world import LANE, LENGTH, WIDTH, World, aside


def commonroad(folder: Path, world: World, old: bool = False) -> Path:
    """A scenario of 2020a, or of 2018b, in which the lead car drives farthest."""

    def bound(tag: str, line: np.ndarray, mark: str) -> str:
        inner = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in line)
        return f"<{tag}>{inner}<lineMarking>{mark}</lineMarking></{tag}>"

    def state(tag: str, pose: np.ndarray, t: int) -> str:
        x, y, heading = pose
        place = f"<position><point><x>{x}</x><y>{y}</y></point></position>"
        turned = f"<orientation><exact>{heading}</exact></orientation><time><exact>{t}</exact></time>"
        return f"<{tag}>{place}{turned}</{tag}>"

    parts = []
    half = len(world.road) // 2
    for number in range(3):
        line = world.lane(number)
        for piece, part in enumerate((slice(0, half + 1), slice(half, None))):
            name = 10 * (number + 1) + piece
            inner = bound("leftBound", aside(line, LANE / 2)[part], "dashed")
            inner += bound("rightBound", aside(line, -LANE / 2)[part], "solid")
            inner += f'<successor ref="{name + 1}"/>' if piece == 0 else ""
            if number < 2:
                side, other = (("Left", name + 10), ("Right", name - 10))[number]
                inner += f'<adjacent{side} ref="{other}" drivingDir="same"/>'
            parts.append(f'<lanelet id="{name}">{inner}</lanelet>')
    kinds = {"VEHICLE": "car", "PEDESTRIAN": "pedestrian", "TRAFFIC_CONE": "roadBoundary"}
    things = [("ego", "car", world.middle, (LENGTH, WIDTH))]
    things += [(m.name, kinds[m.kind], m.poses, m.size) for m in world.movers if m.name not in ("lead", "back")]
    for name, kind, poses, (length, width) in things:
        shape = f"<shape><rectangle><length>{length}</length><width>{width}</width></rectangle></shape>"
        states = "".join(state("state", pose, t) for t, pose in enumerate(poses[1:], 1))
        inner = f"<type>{kind}</type>{shape}{state('initialState', poses[0], 0)}<trajectory>{states}</trajectory>"
        tag = "obstacle" if old else "dynamicObstacle"
        role = "<role>dynamic</role>" if old else ""
        parts.append(f'<{tag} id="{name}">{role}{inner}</{tag}>')
    version = "2018b" if old else "2020a"
    path = folder / "scenario.xml"
    head = f'<commonRoad timeStepSize="0.1" commonRoadVersion="{version}" benchmarkID="ABC_Town-1_1_T-1">'
    path.write_text(f"<?xml version='1.0' encoding='UTF-8'?>{head}{''.join(parts)}</commonRoad>")
    return path
