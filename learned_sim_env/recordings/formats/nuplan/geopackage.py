"""GeoPackages (OGC 12-128r19): SQLite databases of rows with a geometry in degrees, read into metres of a UTM zone."""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from learned_sim_env.recordings.recording import RecordingError

# Bytes of the envelope in a geometry's head, by the number in its flags.
ENVELOPES = (0, 32, 48, 48, 64)
# Kinds of geometries in well-known binary (OGC 06-103r4): a line, rings, and collections of geometries.
LINE, POLYGON, COLLECTIONS = 2, 3, (4, 5, 6, 7)
DEGREES = 4326
# WGS 84: [m] equatorial radius, flattening; and of UTM the scale on the middle meridian and [m] that is added to east.
RADIUS, FLATTENING, SCALE, EAST = 6378137.0, 1 / 298.257223563, 0.9996, 500_000.0


def rows(database: sqlite3.Connection, layer: str, columns: Sequence[str], zone: int) -> Iterator[tuple[Any, ...]]:
    """Of each row of a layer the named columns, and the lines, or outer rings, of its geometry, (N, 2) [m] each.

    zone: of UTM, which geometries in degrees are projected to; others are taken as they are.

    Raises:
        RecordingError: for a layer or geometry that cannot be read. sqlite3.Error: for columns that are not there.
    """
    found = database.execute(
        "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
    ).fetchone()
    if found is None:
        raise RecordingError(f"it has no layer {layer!r}")
    geometry, reference = found
    names = ", ".join(f'"{name}"' for name in (*columns, geometry))
    for *values, blob in database.execute(f'SELECT {names} FROM "{layer}"'):
        pieces = [] if blob is None else parse(bytes(blob))
        yield *values, [utm(piece[:, 1], piece[:, 0], zone) if reference == DEGREES else piece for piece in pieces]


def parse(blob: bytes) -> list[np.ndarray]:
    """Lines, or outer rings, (N, 2) float64 of a geometry of a GeoPackage.

    Raises:
        RecordingError: for one that is damaged, or of another kind.
    """
    try:
        envelope = blob[3] >> 1 & 7
        if blob[:2] != b"GP" or envelope >= len(ENVELOPES):
            raise RecordingError("it has a geometry that is none of a GeoPackage")
        return _well_known(blob, 8 + ENVELOPES[envelope])[0]
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"it has a geometry that is damaged ({error})") from None


def _well_known(blob: bytes, at: int, depth: int = 0) -> tuple[list[np.ndarray], int]:
    """Lines or outer rings of the geometry at a byte, and where it ends."""
    order = "<" if blob[at] else ">"
    (kind,) = struct.unpack_from(f"{order}I", blob, at + 1)
    at += 5
    # A height or a measure is in thousands.
    wide, kind = 2 + (0, 1, 1, 2)[min(kind // 1000, 3)], kind % 1000

    def points(at: int) -> tuple[np.ndarray, int]:
        (count,) = struct.unpack_from(f"{order}I", blob, at)
        found = np.frombuffer(blob, f"{order}f8", count * wide, at + 4).reshape(count, wide)
        return found[:, :2].astype(np.float64), at + 4 + 8 * count * wide

    if kind == LINE:
        line, at = points(at)
        return [line], at
    if kind not in (POLYGON, *COLLECTIONS) or depth > 2:
        raise RecordingError(f"it has a geometry of kind {kind}, which is no line and no polygon")
    (count,) = struct.unpack_from(f"{order}I", blob, at)
    at, pieces = at + 4, list[np.ndarray]()
    for number in range(count):
        if kind == POLYGON:
            ring, at = points(at)
            # Those after the first are holes.
            pieces += [ring] if number == 0 else []
        else:
            more, at = _well_known(blob, at, depth + 1)
            pieces += more
    return pieces, at


def utm_zone(name: str) -> int:
    """Zone of a reference system such as "EPSG:32618", negative in the south; `RecordingError` for another one."""
    match = re.fullmatch(r"(?:EPSG:)?32([67])(\d\d)", name.strip(), re.IGNORECASE)
    if match is None or not 1 <= int(match[2]) <= 60:
        raise RecordingError(f"its map is projected by {name!r}: UTM zones (EPSG:32601 to 32760) are read")
    return int(match[2]) * (1 if match[1] == "6" else -1)


def utm(latitude: np.ndarray, longitude: np.ndarray, zone: int) -> np.ndarray:
    """(N, 2) east and north [m] of latitudes and longitudes (N,) in degrees.

    Krueger's series to the fourth order in n (Karney 2011, "Transverse Mercator with an accuracy of a few nanometers",
    eqs. 7 to 9, 35): below a micrometre within a zone.
    """
    n = FLATTENING / (2 - FLATTENING)
    e = np.sqrt(FLATTENING * (2 - FLATTENING))
    mean = RADIUS / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    alphas = (
        n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180,
        13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440,
        61 * n**3 / 240 - 103 * n**4 / 140,
        49561 * n**4 / 161280,
    )
    phi, away = np.radians(latitude), np.radians(longitude - (6 * abs(zone) - 183))
    tangent = np.tan(phi)
    sigma = np.sinh(e * np.arctanh(e * np.sin(phi)))
    conformal = tangent * np.sqrt(1 + sigma**2) - sigma * np.sqrt(1 + tangent**2)
    xi = np.arctan2(conformal, np.cos(away))
    eta = np.arcsinh(np.sin(away) / np.hypot(conformal, np.cos(away)))
    x, y = eta.copy(), xi.copy()
    for j, alpha in enumerate(alphas, 1):
        x += alpha * np.cos(2 * j * xi) * np.sinh(2 * j * eta)
        y += alpha * np.sin(2 * j * xi) * np.cosh(2 * j * eta)
    return np.stack([EAST + SCALE * mean * x, SCALE * mean * y + (1e7 if zone < 0 else 0.0)], -1)
