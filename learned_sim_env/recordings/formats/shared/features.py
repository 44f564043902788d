"""Map features and boxes in the manner of Waymo, which several formats have taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from learned_sim_env.recordings import lines
from learned_sim_env.recordings.recording import MapLane, RecordedMap, RecordingError, Track, in_order
from learned_sim_env.scene import Line, wrap_angle
from learned_sim_env.spec import SemanticClass

# Words in the names that data sets give to kinds of road users, and what they are here; the first that fits.
KINDS = (
    (("PEDESTRIAN", "PERSON", "HUMAN", "STROLLER", "WHEELCHAIR", "ANIMAL", "DOG"), SemanticClass.PEDESTRIAN),
    (("RIDERLESS", "BICYCLE_RACK"), SemanticClass.STATIC_OBJECT),
    (("CYCLIST", "BICYCLE", "RIDER", "BIKE", "SCOOTER", "MOTORCYCL"), SemanticClass.VEHICLE),
    (
        ("CONE", "BARRIER", "BOLLARD", "DEBRIS", "PUSHABLE", "STATIC", "CONSTRUCTION", "BARREL", "SIGN", "OBSTACLE"),
        SemanticClass.STATIC_OBJECT,
    ),
    (("VEHICLE", "CAR", "TRUCK", "BUS", "TRAILER", "TRAM", "TRAIN", "VAN"), SemanticClass.VEHICLE),
)


def kind_of(name: Any) -> SemanticClass:
    """What a road user of a data set is here; whatever is not known is a static object, which is still in the way."""
    word = str(name).upper()
    # A construction vehicle is a vehicle, a wheelchair a person.
    if "VEHICLE" in word and "CONE" not in word and "STATIC" not in word:
        return SemanticClass.VEHICLE
    return next((kind for words, kind in KINDS if any(w in word for w in words)), SemanticClass.STATIC_OBJECT)


def track_of(
    name: str,
    kind: Any,
    times: np.ndarray,
    poses: np.ndarray,
    lengths: np.ndarray,
    widths: np.ndarray,
    valid: np.ndarray,
) -> Track | None:
    """A track from rows of which some are valid (N,) bool; None if too few are. poses: (N, 3)."""
    rows = valid & np.isfinite(poses).all(-1)
    if not rows.any():
        return None
    known, moved = in_order(times[rows], poses[rows])
    sizes = (float(np.median(lengths[rows])), float(np.median(widths[rows])))
    if not (0.05 < sizes[0] < 60 and 0.05 < sizes[1] < 60):
        return None
    return Track(name, kind if isinstance(kind, SemanticClass) else kind_of(kind), known, moved, sizes)


def map_of(features: Iterable[Mapping[str, Any]], boundaries: bool = True) -> RecordedMap | None:
    """A map from features: dicts with "id", "type" and "points" (N, 2) in Waymo's names of types.

    Lanes may have "polygon", "following", "beside", "junction", and "left" and "right": ranges of borders as
    (first point, last point, id of a line or edge).

    Raises:
        RecordingError: for a feature whose points are not finite.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for feature in features:
        points = feature["points"]
        if not np.isfinite(points).all():
            raise RecordingError(f"map feature {feature['id']} has points that are not finite")
        found[str(feature["id"])] = {**feature, "points": lines.clean(points)}
    lanes, markings, edges, areas = [], [], [], []
    for name, feature in found.items():
        kind, points = str(feature["type"]).upper(), feature["points"]
        if "BIKE" in kind and "LANE" in kind:
            continue
        if kind.startswith("LANE"):
            if len(points) > 1 and lines.lengths(points)[-1] > 0.5:
                lanes.append(_lane(name, feature, found if boundaries else {}))
            elif feature.get("polygon") is not None:
                areas.append(feature["polygon"])
        elif "LINE" in kind and len(points) > 1:
            markings.append(Line(points, broken="BROKEN" in kind or "DASHED" in kind))
        elif ("EDGE" in kind or "BOUNDARY" in kind) and len(points) > 1:
            edges.append(points)
    if not lanes and not areas:
        return None
    return RecordedMap(tuple(lanes), tuple(markings), tuple(edges), tuple(areas))


def _lane(name: str, feature: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> MapLane:
    centre = feature["points"]
    left, right = feature.get("left", ()), feature.get("right", ())
    return MapLane(
        name,
        centre=centre,
        left=_border(centre, left, found, 1) if left and found else None,
        right=_border(centre, right, found, -1) if right and found else None,
        polygon=feature.get("polygon"),
        following=tuple(map(str, feature.get("following", ()))),
        beside=tuple(map(str, feature.get("beside", ()))),
        junction=bool(feature.get("junction", False)),
    )


def _border(
    centre: np.ndarray, ranges: Iterable[tuple[int, int, Any]], found: Mapping[str, Mapping[str, Any]], side: int
) -> np.ndarray | None:
    """(N, 2) border of a lane on one side (+1 left), where what is beside it is told by ranges of its points."""
    half = np.full(len(centre), np.nan)
    angle = lines.headings(centre)
    for first, last, other in ranges:
        line = found.get(str(other))
        if line is None or len(line["points"]) < 2:
            continue
        rows = np.arange(max(int(first), 0), min(int(last) + 1, len(centre)))
        if not len(rows):
            continue
        s, distance, _ = lines.nearest(line["points"], centre[rows])
        offset = lines.at(line["points"], s) - centre[rows]
        across = -offset[:, 0] * np.sin(angle[rows]) + offset[:, 1] * np.cos(angle[rows])
        # Past its end, or beside another lane, a border is not this lane's.
        good = (side * across > 0.5) & (distance < 4.0) & (distance < np.abs(across) + 0.3)
        half[rows[good]] = np.abs(across[good])
    known = np.isfinite(half)
    if not known.any():
        return None
    at = np.arange(len(half))
    return lines.beside(centre, side * np.interp(at, at[known], half[known]))


def linked(road: RecordedMap | None, gap: float = 0.6) -> RecordedMap | None:
    """A map that does not say which lane leads into which: those follow that begin where one ends, in its direction."""
    if road is None or any(lane.following for lane in road.lanes):
        return road
    with_centre = [lane for lane in road.lanes if lane.centre is not None]
    if not with_centre:
        return road
    starts = np.array([lane.centre[0] for lane in with_centre])  # type: ignore[index]
    begins = np.array([lines.headings(lane.centre)[0] for lane in with_centre])  # type: ignore[arg-type]
    found = []
    for lane in road.lanes:
        if lane.centre is None:
            found.append(lane)
            continue
        end, direction = lane.centre[-1], lines.headings(lane.centre)[-1]
        near = (np.hypot(*(starts - end).T) < gap) & (np.abs(wrap_angle(begins - direction)) < np.pi / 3)
        found.append(replace(lane, following=tuple(with_centre[i].name for i in np.flatnonzero(near))))
    return replace(road, lanes=tuple(found))
