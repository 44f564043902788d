"""GeoPackages: places of UTM that are known, and geometries of every form."""

from __future__ import annotations

import sqlite3
import struct

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.formats.nuplan.geopackage import parse, utm, utm_zone
from learned_sim_env.recordings.looking import look_at
from learned_sim_env.recordings.recording import RecordingError
from tests.recordings import writers
from tests.recordings.writers.of_nuplan import CITY, degrees


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone", "east", "north"),
    [
        (0.0, -75.0, 18, 500_000.0, 0.0),
        # The meridian's arc to 45 degrees is 4,984,944.378 m.
        (45.0, -75.0, 18, 500_000.0, 0.9996 * 4_984_944.378),
        # The edge of a zone on the equator.
        (0.0, -72.0, 18, 833_978.557, 0.0),
        (0.0, 141.0, -54, 500_000.0, 1e7),
    ],
)
def test_known_places(latitude, longitude, zone, east, north):
    assert np.allclose(utm(np.array([latitude]), np.array([longitude]), zone), [[east, north]], atol=2e-3)


def test_there_and_back(world):
    there = degrees(world.road)
    assert np.abs(utm(there[:, 1], there[:, 0], 31) - world.road).max() < 1e-6


def test_zones():
    assert (utm_zone("EPSG:32618"), utm_zone("epsg:32748")) == (18, -48)
    for name in ("EPSG:4326", "EPSG:32661", ""):
        with pytest.raises(RecordingError, match="UTM zones"):
            utm_zone(name)


def test_geometries_of_every_form():
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 0)], float)

    def head(order: str, kind: int) -> bytes:
        return struct.pack(f"{order}BI", order == "<", kind)

    def ring(order: str, points: np.ndarray, wide: int = 2) -> bytes:
        padded = np.pad(points, ((0, 0), (0, wide - 2)), constant_values=9.0)
        return struct.pack(f"{order}I", len(points)) + padded.astype(f"{order}f8").tobytes()

    line = b"GP\0\x01" + bytes(4) + head("<", 2) + ring("<", square)
    # Big-endian, with an envelope and heights; a polygon with a hole among several.
    deep = b"GP\0\x02" + bytes(4) + bytes(32) + head(">", 1002) + ring(">", square, 3)
    polygon = head("<", 3) + struct.pack("<I", 2) + ring("<", square) + ring("<", square / 2)
    many = b"GP\0\x01" + bytes(4) + head("<", 6) + struct.pack("<I", 2) + 2 * polygon
    assert all(np.array_equal(parse(blob)[0], square) for blob in (line, deep, many))
    assert [len(parse(blob)) for blob in (line, deep, many)] == [1, 1, 2]
    for damaged in (line[:-3], b"", b"GP", line[:8] + head("<", 9), b"XX" + line[2:], many[:9] + b"\x07" * 60):
        with pytest.raises(RecordingError):
            parse(damaged)


def test_lanes_of_a_city(world, tmp_path):
    (recording,) = formats.read(writers.nuplan(tmp_path, world))
    lanes = {lane.name: lane for lane in recording.road.lanes}
    assert lanes["lane 10"].following == ("connector 30",) and lanes["connector 30"].following == ("lane 20",)
    assert lanes["lane 10"].beside == ("lane 11",) and lanes["lane 12"].beside == ()
    assert lanes["connector 30"].junction and not lanes["lane 10"].junction
    assert len(recording.road.lines) == 4 and len(recording.road.areas) == 3


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE meta SET value = 'EPSG:3857'", "projected by 'EPSG:3857'"),
        ("DELETE FROM gpkg_geometry_columns WHERE table_name = 'boundaries'", "no layer 'boundaries'"),
        ("UPDATE baseline_paths SET geom = x'0102'", "none of a GeoPackage|is damaged"),
        ("UPDATE baseline_paths SET lane_fid = NULL, lane_connector_fid = NULL", "belongs to no lane"),
        ("DROP TABLE lane_connectors", "map.gpkg cannot be read"),
    ],
)
def test_damaged_maps(statement, words, world, tmp_path):
    path = writers.nuplan(tmp_path, world)
    with sqlite3.connect(tmp_path / "maps" / CITY / "9.12" / "map.gpkg") as database:
        database.execute(statement)
    look = look_at(path, "nuplan")
    (said,) = look.refused
    assert not look.drives and any(word in said for word in words.split("|")), said
