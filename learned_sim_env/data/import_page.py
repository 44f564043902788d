"""What recordings hold, as parts of a page: figures, what is wrong with them, and a picture of each drive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.optional import require
from learned_sim_env.recordings.checks import BINS
from learned_sim_env.recordings.looking import LACKING
from learned_sim_env.reporting.display import STYLES, number
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rows of a table, and pictures, that a page has at most; report.json has all.
MOST_ROWS, MOST_PICTURES = 300, 60
TITLES = {
    "speed": "Moments by speed [m/s]",
    "steer": "Moments by steering, + is right",
    "throttle_brake": "Moments by throttle and brake",
}


def parts_of(report: Mapping[str, Any], strips: Mapping[str, Path]) -> list[Part]:
    """Of a `Report` as it is in `report.json`; strips: pictures of drives, by name."""
    drives = [drive for look in report["looks"] for drive in look["drives"]]
    parts = [_amount(report), _wrong(report, drives)]
    # Of films there are no figures.
    if driven := [drive for drive in drives if "path" not in drive["lacking"]]:
        parts.append(_drives(driven))
    if drives:
        parts.append(_pictures(drives, strips))
    return parts


def _amount(report: Mapping[str, Any]) -> Part:
    frames = report["frames"]
    rows = [("files", report["files"]), ("drives", report["drives"]), ("frames", frames)]
    rows += [("hours", number(report["hours"], 2))]
    rows += [(f"files of format {name}", count) for name, count in report["formats"].items()]
    splits = [(name, str(s["frames"]), str(len(s["logs"]))) for name, s in report["splits"].items()]
    sources = [(action, source, str(count)) for action, by in report["sources"].items() for source, count in by.items()]
    tags = [(tag, number(100 * count / max(frames, 1), 1)) for tag, count in report["tags"].items()]
    return Part(
        name="amount",
        title="What there is",
        method="Drives are pieces of recordings without gaps, long stops and takeovers, at 10 Hz. Actions are "
        "measured on the car, or inferred from its path.",
        limits="Throttle and brake that are inferred from an acceleration are a convention, not a measurement.",
        tables=(
            Table("Amount", ("what", "number"), _cells(rows)),
            Table("What it is for", ("split", "frames", "logs"), tuple(splits)),
            Table("Where actions are from", ("action", "source", "drives"), tuple(sources)),
            Table("Scenes, where there are a map and labels", ("tag", "share of moments [%]"), tuple(tags)),
        ),
        values={},
        figures={
            TITLES[name]: partial(_histogram, edges=BINS[name], counts=counts)
            for name, counts in report["histograms"].items()
            if counts
        },
    )


def _histogram(figure: Figure, edges: np.ndarray, counts: list[int]) -> None:
    figure.subplots().stairs(counts, edges, fill=True, color=STYLES[0][0])


def _wrong(report: Mapping[str, Any], drives: list[Mapping[str, Any]]) -> Part:
    said: dict[str, list[str]] = {}
    for drive in drives:
        for lack in drive["lacking"]:
            said.setdefault(LACKING[lack], []).append(drive["name"])
    for look in report["looks"]:
        for name, sentences in look["warnings"].items():
            for sentence in sentences:
                said.setdefault(sentence, []).append(name)
    warnings = [
        (sentence, str(len(names)), ", ".join(names[:3]) + (", ..." if len(names) > 3 else ""))
        for sentence, names in sorted(said.items(), key=lambda item: -len(item[1]))
    ]
    refused = [(look["file"], sentence) for look in report["looks"] for sentence in look["refused"]]
    refused += [(file, reason.strip().splitlines()[-1]) for file, reason in report["broken"].items()]
    tables = [Table("To know", ("what", "recordings", "which"), tuple(warnings[:MOST_ROWS]))] if warnings else []
    if refused:
        tables.append(Table(f"Refused: {len(refused)}", ("file", "why"), tuple(refused[:MOST_ROWS])))
    return Part(
        name="wrong",
        title="What is wrong, or missing",
        method="Paths, signals, times and boxes are compared with one another. What was refused is tried again when "
        "the same command is run.",
        limits="Errors that agree with one another are not found: a wrong map in the right place, labels that are "
        "late by as much as the poses.",
        tables=tuple(tables),
        values={},
    )


def _drives(drives: list[Mapping[str, Any]]) -> Part:
    def cell(value: float | None, digits: int) -> str:
        return "-" if value is None else number(value, digits)

    rows = [
        (
            d["name"],
            str(d["steps"]),
            cell(d["speed"], 1),
            cell(d["smoothing"], 2),
            cell(d["replay"], 2),
            cell(d["jerk"], 1),
            cell(d["steering"], 2),
            str(d["overlaps"]),
            cell(None if d["on_lane"] is None else 100 * d["on_lane"], 0),
            f"{d['hard_braking']}, {d['near']}, {d['off_route']}",
            d["route"],
        )
        for d in drives[:MOST_ROWS]
    ]
    head = (
        "drive",
        "steps",
        "speed",
        "smoothed",
        "after 3 s",
        "jerk",
        "steering",
        "overlaps",
        "on lane",
        "events",
        "route",
    )
    return Part(
        name="drives",
        title="Drives",
        method="speed: mean [m/s]. smoothed: mean distance of the path that is driven from the recorded one [m]. "
        "after 3 s: median distance from the recorded path of a car that does what was inferred [m]. jerk: root "
        "mean square [m/s^3]. steering: its correlation with the curvature of the recorded path; below zero, its "
        "sign is reversed. overlaps: pairs of boxes that overlap at the first moment. on lane: share of moments "
        "[%]. events: hard braking, near encounters, leaving the route. route: recorded, from the map, or the "
        "driven path.",
        limits="Figures on how believable a recording is, not on how well it was driven.",
        tables=(Table(f"The first {len(rows)} of {len(drives)}", head, tuple(rows)),),
        values={},
    )


def _pictures(drives: list[Mapping[str, Any]], strips: Mapping[str, Path]) -> Part:
    names = [d["name"] for d in drives if d["name"] in strips and strips[d["name"]].is_file()][:MOST_PICTURES]
    return Part(
        name="pictures",
        title="What it looks like",
        method="Left: the map and those who are there at first, with the path as it was recorded (white dots) and "
        "as it is driven (magenta), which leads upwards on the whole. Beside it: the view from above at eight "
        "moments, the ego driving upwards. Below, where there are any: what the contract's cameras would have seen.",
        limits=f"Drives after the first four of a file, and the first {MOST_PICTURES} in all, are not shown.",
        tables=(),
        values={},
        pictures={name: _read(strips[name]) for name in names},
    )


def _read(path: Path) -> np.ndarray:
    image = require("PIL.Image", extra="train")
    with image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def _cells(rows: Iterable[tuple[Any, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(map(str, row)) for row in rows)
