"""nuPlan's maps (github.com/motional/nuplan-devkit, "nuplan_map"): a GeoPackage for each city."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from learned_sim_env.recordings.formats.nuplan import geopackage
from learned_sim_env.recordings.recording import MapLane, RecordedMap, RecordingError
from learned_sim_env.scene import Line

# Layers of road that belongs to no lane.
AREAS = ("intersections", "generic_drivable_areas", "carpark_areas")
# The key of a row, and the two kinds of lanes: those along roads, and those that connect them across junctions.
KEY, LANE, CONNECTOR = "rowid", "lane", "connector"
# Folders above a log that are looked into for `maps`.
ABOVE = 5


def find_map(log: Path, name: str) -> Path | None:
    """The map called `name` of a log, in `maps/NAME/VERSION/map.gpkg` beside it or above; None if there is none."""
    name = name.removesuffix(".gpkg")
    return next((place for place in maps_above(log) if place.parts[-3] == name), None)


def maps_above(log: Path) -> list[Path]:
    """All maps beside a log or above it: the nearest first, and of a city the newest version, the last by its name."""
    folders = log.resolve().parents[:ABOVE]
    return [place for folder in folders for place in sorted((folder / "maps").glob("*/*/map.gpkg"), reverse=True)]


@lru_cache(maxsize=1)
def read_map(path: Path) -> RecordedMap:
    """The whole map of a city, in metres of its UTM zone, which the logs' poses are in as well.

    Raises:
        RecordingError: for one that is damaged, or lacks a layer.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return _read(database)
    except sqlite3.Error as error:
        raise RecordingError(f"its map {path.name} cannot be read ({error})") from None


def _read(database: sqlite3.Connection) -> RecordedMap:
    about = dict(database.execute("SELECT key, value FROM meta"))
    zone = geopackage.utm_zone(str(about.get("projectedCoordSystem", "")))

    def rows(layer: str, *columns: str) -> Iterator[tuple]:
        return geopackage.rows(database, layer, columns, zone)

    borders = {fid: pieces[0] for fid, pieces in rows("boundaries", KEY) if pieces}
    centres = {
        _name(lane, connector): pieces[0]
        for lane, connector, pieces in rows("baseline_paths", "lane_fid", "lane_connector_fid")
        if pieces
    }
    outlines = {
        _name(None, connector): pieces[0]
        for connector, pieces in rows("gen_lane_connectors_scaled_width_polygons", "lane_connector_fid")
        if pieces
    }
    following, painted, groups = defaultdict(list), set[object](), defaultdict(list)
    for key, before, after, _ in rows("lane_connectors", KEY, "exit_lane_fid", "entry_lane_fid"):
        following[_name(before, None)].append(_name(None, key))
        following[_name(None, key)].append(_name(after, None))
    columns = ("lane_fid", "lane_group_fid", "lane_index", "left_boundary_fid", "right_boundary_fid")
    for lane, group, index, left, right, pieces in rows("lanes_polygons", *columns):
        outlines.update({_name(lane, None): piece for piece in pieces[:1]})
        groups[group].append((int(index), _name(lane, None)))
        painted |= {left, right}
    beside = {
        name: tuple(other for i, other in members if abs(i - index) == 1)
        for members in groups.values()
        for index, name in members
    }
    lanes = [
        MapLane(
            name,
            centre=centre,
            polygon=outlines.get(name),
            following=tuple(following[name]),
            beside=beside.get(name, ()),
            junction=name.startswith(CONNECTOR),
        )
        for name, centre in centres.items()
    ]
    markings = [Line(line) for key, line in borders.items() if key in painted]
    areas = [piece for layer in AREAS for (pieces,) in rows(layer) for piece in pieces]
    return RecordedMap(tuple(lanes), tuple(markings), (), tuple(areas))


def _name(lane: Any, connector: Any) -> str:
    """Lanes and the connectors between them are numbered apart; which one it is not, is empty, not a number, or 0."""
    for kind, key in ((LANE, lane), (CONNECTOR, connector)):
        if key not in (None, "") and float(key) > 0:
            return f"{kind} {int(float(key))}"
    raise RecordingError("its map has a path that belongs to no lane")
