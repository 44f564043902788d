"""CommonRoad scenarios (commonroad.in.tum.de, "XML format"), 2018b and 2020a: none has an ego, so one is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from learned_sim_env.recordings.formats.shared.features import kind_of, track_of
from learned_sim_env.recordings.formats.shared.xml_files import load_xml
from learned_sim_env.recordings.recording import (
    EgoPath,
    MapLane,
    RecordedMap,
    Recording,
    RecordingError,
    Track,
    Vehicle,
    in_order,
)
from learned_sim_env.scene import Line
from learned_sim_env.spec import SemanticClass

# Kinds of obstacles that can be the ego.
CARS = ("car", "taxi", "truck", "bus", "unknown")


@dataclass(frozen=True, eq=False)
class Obstacle:
    """times (N,) [s], poses (N, 3) of the middle, length and width [m]."""

    name: str
    kind: str
    times: np.ndarray
    poses: np.ndarray
    size: tuple[float, float]


def recognises(path: Path) -> bool:
    """An XML file whose root is CommonRoad's."""
    if path.suffix != ".xml" or not path.is_file():
        return False
    with open(path, "rb") as file:
        return b"<commonRoad" in (head := file.read(4096)) or b"<CommonRoadSolution" in head


def read(path: Path) -> Iterator[Recording]:
    """The one scenario of a file."""
    root = load_xml(path)
    if root.tag == "CommonRoadSolution":
        raise RecordingError(
            f"it is a solution of {root.get('benchmark_id', 'a scenario')}, without road and others: take the scenario"
        )
    if root.tag != "commonRoad":
        raise RecordingError(f"its root is <{root.tag}>, not <commonRoad>")
    dt = float(root.get("timeStepSize", "0.1"))
    if not 0 < dt <= 1:
        raise RecordingError(f"its timeStepSize is {dt:g} s: more than 0 and at most 1 is expected")
    obstacles = [o for o in (_obstacle(e, dt) for e in _elements(root)) if o is not None]
    cars = [o for o in obstacles if o.kind in CARS and len(o.times) > 1]
    if not cars:
        raise RecordingError("nobody in it drives, and it has no recorded ego: its planning problem is to be solved")
    ego = max(cars, key=lambda o: float(np.hypot(*np.diff(o.poses[:, :2], axis=0).T).sum()))
    vehicle = Vehicle.of_box(*ego.size)
    tracks = [_track(o, cars) for o in obstacles if o is not ego]
    name = root.get("benchmarkID", path.stem)
    yield Recording(
        name=name,
        format="commonroad",
        file=path,
        # Scenarios of one place share its map.
        log=f"commonroad/{name.split('_')[1] if name.count('_') > 1 else name}",
        ego=EgoPath(ego.times, ego.poses[:, :2], ego.poses[:, 2], vehicle.rear),
        vehicle=vehicle,
        tracks=tuple(t for t in tracks if t is not None),
        road=_map(root),
        sources={"ego": f"obstacle {ego.name}"},
        notes=(f"it has no recorded ego: obstacle {ego.name}, which drives farthest, is taken",),
    )


def _elements(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    for tag in ("obstacle", "dynamicObstacle", "staticObstacle"):
        yield from root.findall(tag)


def _number(element: ElementTree.Element, path: str) -> float:
    """An exact number, or the middle of an interval."""
    found = element.find(path)
    if found is None:
        raise RecordingError(f"an obstacle's <{element.tag}> has no <{path}>")
    if (exact := found.find("exact")) is not None:
        return float(exact.text or "nan")
    bounds = [float(b.text or "nan") for tag in ("intervalStart", "intervalEnd") if (b := found.find(tag)) is not None]
    if not bounds:
        raise RecordingError(f"<{path}> of an obstacle has no <exact>")
    return sum(bounds) / len(bounds)


def _obstacle(element: ElementTree.Element, dt: float) -> Obstacle | None:
    shape = element.find("shape/rectangle")
    circle = element.find("shape/circle/radius")
    if shape is not None:
        size = tuple(float(shape.findtext(tag, "nan")) for tag in ("length", "width"))
    elif circle is not None:
        size = (2 * float(circle.text or "nan"),) * 2
    else:
        return None
    rows = []
    for state in (element.find("initialState"), *element.findall("trajectory/state")):
        if state is None:
            continue
        point = state.find("position/point")
        if point is None:
            # Sets of places are predictions, not recordings.
            continue
        place = (float(point.findtext("x", "nan")), float(point.findtext("y", "nan")))
        time = 0.0 if state.find("time") is None else _number(state, "time")
        rows.append((time * dt, *place, _number(state, "orientation")))
    if not rows:
        return None
    columns = np.array(rows, np.float64)
    times, poses = in_order(columns[:, 0], columns[:, 1:])
    return Obstacle(element.get("id", "?"), element.findtext("type", "unknown"), times, poses, size)  # type: ignore[arg-type]


def _track(obstacle: Obstacle, cars: list[Obstacle]) -> Track | None:
    count = len(obstacle.times)
    times, poses = obstacle.times, obstacle.poses
    kind = SemanticClass.VEHICLE if obstacle.kind in CARS else kind_of(obstacle.kind)
    if "parked" in obstacle.kind.lower():
        kind = SemanticClass.VEHICLE
    if count == 1:
        # It stays where it is.
        times = np.array([min(c.times[0] for c in cars), max(c.times[-1] for c in cars)])
        times = np.arange(times[0], times[1] + 1.0, 1.0)
        poses, count = np.repeat(poses, len(times), axis=0), len(times)
    length, width = (np.full(count, s) for s in obstacle.size)
    return track_of(obstacle.name, kind, times, poses, length, width, np.ones(count, bool))


def _map(root: ElementTree.Element) -> RecordedMap | None:
    lanes: list[MapLane] = []
    markings: dict[tuple, Line] = {}
    forks = _forks(root)
    for element in root.findall("lanelet"):
        sides = {side: element.find(f"{side}Bound") for side in ("left", "right")}
        points = {side: _points(bound) for side, bound in sides.items() if bound is not None}
        if len(points) < 2 or min(map(len, points.values())) < 2:
            raise RecordingError(f"lanelet {element.get('id')} has not two borders of two points or more")
        beside = [
            a.get("ref", "")
            for side in ("Left", "Right")
            if (a := element.find(f"adjacent{side}")) is not None and a.get("drivingDir") == "same"
        ]
        kinds = {t.text for t in element.findall("laneletType")}
        if kinds & {"sidewalk", "crosswalk", "bicycleLane"}:
            continue
        lanes.append(
            MapLane(
                element.get("id", "?"),
                left=points["left"],
                right=points["right"],
                following=tuple(s.get("ref", "") for s in element.findall("successor")),
                beside=tuple(beside),
                junction="intersection" in kinds,
            )
        )
        for side, bound in sides.items():
            # Often absent: borders between lanes of one direction are dashed then, others solid, and where ways part
            # or meet nothing is painted across them.
            mark = None if bound is None else bound.findtext("lineMarking")
            same = element.find(f"adjacent{side.title()}")
            inner = same is not None and same.get("drivingDir") == "same"
            if mark not in ("no_marking", "unknown") and not (mark is None and element.get("id") in forks):
                broken = inner if mark is None else "dashed" in mark
                ends = sorted(tuple(np.round(p, 1)) for p in (points[side][0], points[side][-1]))
                markings.setdefault((*ends[0], *ends[1]), Line(points[side], broken=broken))
    return RecordedMap(tuple(lanes), tuple(markings.values())) if lanes else None


def _forks(root: ElementTree.Element) -> set[str | None]:
    """Lanelets that part from others or meet them: those beside which another begins or ends at the same place."""
    found: set[str | None] = set()
    for tag in ("successor", "predecessor"):
        for element in root.findall("lanelet"):
            refs = [r.get("ref") for r in element.findall(tag)]
            if len(refs) > 1:
                found |= set(refs)
    return found


def _points(bound: ElementTree.Element) -> np.ndarray:
    rows = [(float(p.findtext("x", "nan")), float(p.findtext("y", "nan"))) for p in bound.findall("point")]
    return np.array(rows, np.float64).reshape(-1, 2)
