"""nuPlan's logs, and its maps of cities."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.nuplan.geopackage import utm
from tests.recordings.world import LANE, World, aside
from tests.recordings.writers.clocks import MICRO, START, quaternion

# Zone of UTM in which the world's places are near the equator.
ZONE = 31
CITY = "us-ma-boston"


def nuplan(folder: Path, world: World, road: bool = True) -> Path:
    """A nuPlan log with one scene; road: and the map of its city."""
    path = folder / "log.db"
    database = sqlite3.connect(path)
    database.executescript(
        """
        CREATE TABLE log (token, logfile, map_version); CREATE TABLE scene (token, name);
        CREATE TABLE category (token, name);
        CREATE TABLE track (token, category_token);
        CREATE TABLE lidar_pc (token, scene_token, ego_pose_token, timestamp);
        CREATE TABLE ego_pose (token, timestamp, x, y, qw, qx, qy, qz);
        CREATE TABLE lidar_box (lidar_pc_token, track_token, x, y, yaw, length, width);
        INSERT INTO log VALUES (x'01', '2021.a', 'us-ma-boston'); INSERT INTO scene VALUES (x'02', 'scene-1');
        INSERT INTO category VALUES ('VEHICLE', 'vehicle'), ('PEDESTRIAN', 'pedestrian'), ('TRAFFIC_CONE', 'cone');
        """
    )
    database.executemany("INSERT INTO track VALUES (?, ?)", [(m.name, m.kind) for m in world.movers])
    for t, time in enumerate(world.times):
        stamp = START * MICRO + round(time * MICRO)
        x, y, heading = world.rear[t]
        database.execute("INSERT INTO ego_pose VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (t, stamp, x, y, *quaternion(heading)))
        database.execute("INSERT INTO lidar_pc VALUES (?, x'02', ?, ?)", (t, t, stamp))
        for m in world.movers:
            row = (t, m.name, *m.poses[t].tolist(), *m.size)
            database.execute("INSERT INTO lidar_box VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    database.commit()
    database.close()
    if road:
        (folder / "maps" / CITY / "9.12").mkdir(parents=True)
        city(folder / "maps" / CITY / "9.12" / "map.gpkg", world)
    return path


def city(path: Path, world: World) -> None:
    """The three lanes of the world; in the middle, a connector leads from each to what goes on."""
    database = sqlite3.connect(path)
    database.executescript(
        """
        CREATE TABLE meta (key, value); INSERT INTO meta VALUES ('projectedCoordSystem', 'EPSG:32631');
        CREATE TABLE gpkg_geometry_columns (table_name, column_name, srs_id);
        CREATE TABLE boundaries (fid INTEGER PRIMARY KEY, geom);
        CREATE TABLE baseline_paths (fid INTEGER PRIMARY KEY, lane_fid, lane_connector_fid, geom);
        CREATE TABLE lane_connectors (fid INTEGER PRIMARY KEY, exit_lane_fid, entry_lane_fid, geom);
        CREATE TABLE gen_lane_connectors_scaled_width_polygons (fid INTEGER PRIMARY KEY, lane_connector_fid, geom);
        CREATE TABLE lanes_polygons (fid INTEGER PRIMARY KEY, lane_fid, lane_group_fid, lane_index, left_boundary_fid,
            right_boundary_fid, geom);
        CREATE TABLE intersections (fid INTEGER PRIMARY KEY, geom);
        CREATE TABLE generic_drivable_areas (fid INTEGER PRIMARY KEY, geom);
        CREATE TABLE carpark_areas (fid INTEGER PRIMARY KEY, geom);
        INSERT INTO gpkg_geometry_columns SELECT name, 'geom', 4326 FROM sqlite_master
            WHERE name NOT IN ('meta', 'gpkg_geometry_columns');
        """
    )

    def put(table: str, *values: Any) -> None:
        database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    third = len(world.road) // 3
    for number in range(4):
        put("boundaries", number + 1, geometry(2, world.border(number)))
    for number in range(3):
        line = world.lane(number)
        parts = line[: third + 1], line[third : 2 * third + 1], line[2 * third :]
        outlines = [geometry(3, np.concatenate([aside(p, LANE / 2), aside(p, -LANE / 2)[::-1]])) for p in parts]
        before, after, across = 10 + number, 20 + number, 30 + number
        group = (1, 2) if number < 2 else (3, 4)
        for lane, its_group, k in ((before, group[0], 0), (after, group[1], 2)):
            # They are counted from the left.
            put("lanes_polygons", lane, lane, its_group, -number, number + 2, number + 1, outlines[k])
            put("baseline_paths", None, lane, None, geometry(2, parts[k]))
        put("lane_connectors", across, before, after, None)
        put("baseline_paths", None, None, float(across), geometry(2, parts[1]))
        put("gen_lane_connectors_scaled_width_polygons", None, across, outlines[1])
        put("intersections", None, outlines[1])
    database.commit()
    database.close()


def geometry(kind: int, points: np.ndarray) -> bytes:
    """A line (2) or polygon (3) in a GeoPackage's form, in degrees."""
    data = degrees(points).astype("<f8")
    rings = struct.pack("<I", 1) if kind == 3 else b""
    head = b"GP" + struct.pack("<BBi", 0, 1, 4326)
    return head + struct.pack("<BI", 1, kind) + rings + struct.pack("<I", len(data)) + data.tobytes()


def degrees(points: np.ndarray) -> np.ndarray:
    """Longitude and latitude (N, 2) of places [m], by Newton's method."""
    found = np.zeros((len(points), 2))
    found[:, 0] = 6 * ZONE - 183
    for _ in range(8):
        here, step = utm(found[:, 1], found[:, 0], ZONE), 1e-6
        by = [(utm(found[:, 1] + b, found[:, 0] + a, ZONE) - here) / step for a, b in ((step, 0.0), (0.0, step))]
        found += np.linalg.solve(np.stack(by, -1), (points - here)[..., None])[..., 0]
    return found
