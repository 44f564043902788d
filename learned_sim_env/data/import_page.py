"""What recordings hold, as parts of a page: figures, what is wrong with them, and a picture of each drive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.optional import require
from learned_sim_env.recordings.checks import BINS
from learned_sim_env.recordings.formats import ARCHIVES
from learned_sim_env.recordings.looking import LACKING
from learned_sim_env.reporting.display import STYLES, number
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rows of a table, and pictures, that a page has at most; report.json has all.
MOST_ROWS, MOST_PICTURES = 300, 60
LABELS = {"speed": "speed [m/s]", "steer": "steering, + is right", "throttle_brake": "throttle, and brake below 0"}


def found_in_words(report: Mapping[str, Any]) -> str:
    """How much there is, in one line, of a `Report` as it is in `report.json`."""
    kinds = ", ".join(f"{count} {name}" for name, count in report["formats"].items())
    refused = sum(bool(look["refused"]) for look in report["looks"]) + len(report["broken"])
    some = f", {refused} of them refused, or in part" if refused else ""
    amount = f"{_many(report['drives'], 'drive')}, {_many(report['frames'], 'frame')}, {report['hours']:.2f} hours"
    return f"{amount} in {_many(report['files'], 'file')} ({kinds}){some}"


def passed_over_in_words(passed_over: Mapping[str, int]) -> str:
    """Of files that are no recordings, by the ending of their names."""
    kinds = ", ".join(f"{count} {ending or 'without an ending'}" for ending, count in passed_over.items())
    unpack = "; archives are not opened: unpack them" if any(end in ARCHIVES for end in passed_over) else ""
    return kinds + unpack


def sentences_of(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """What is to be known of recordings and drives, with their names, what is true of most of them first."""
    said: dict[str, list[str]] = {}
    for look in report["looks"]:
        for drive in look["drives"]:
            for lack in drive["lacking"]:
                said.setdefault(LACKING[lack], []).append(drive["name"])
    for look in report["looks"]:
        for name, sentences in look["warnings"].items():
            for sentence in sentences:
                said.setdefault(sentence, []).append(name)
    return sorted(said.items(), key=lambda item: -len(item[1]))


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def parts_of(report: Mapping[str, Any], strips: Mapping[str, Path]) -> list[Part]:
    """Of a `Report` as it is in `report.json`; strips: pictures of drives, by name."""
    drives = [drive for look in report["looks"] for drive in look["drives"]]
    parts = [_amount(report), _wrong(report)]
    # Of films there are no figures.
    if any(look["recordings"] for look in report["looks"]):
        parts.append(_recordings(report))
    if driven := [drive for drive in drives if "path" not in drive["lacking"]]:
        parts.append(_drives(driven))
    if drives:
        parts.append(_pictures(drives, strips))
    return parts


def _amount(report: Mapping[str, Any]) -> Part:
    frames = report["frames"]
    amount = [("files", report["files"]), ("drives", report["drives"]), ("frames", frames)]
    amount += [("hours", number(report["hours"], 2))]
    kinds = [(name, str(count)) for name, count in report["formats"].items()]
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
            Table("Amount", ("what", "number"), _cells(amount)),
            Table("Formats", ("format", "files"), tuple(kinds)),
            Table("What it is for", ("split", "frames", "logs"), tuple(splits)),
            Table("Where actions are from", ("action", "source", "drives"), tuple(sources)),
            Table("Scenes, where there are a map and labels", ("tag", "share of moments [%]"), tuple(tags)),
        ),
        values={},
        figures={"Moments by speed and action": partial(_histograms, counts=report["histograms"])} if frames else {},
    )


def _histograms(figure: Figure, counts: Mapping[str, list[int]]) -> None:
    figure.set_size_inches(10.0, 2.8)
    axes = figure.subplots(1, len(LABELS))
    for axis, (name, label) in zip(axes, LABELS.items()):
        axis.stairs(counts[name], BINS[name], fill=True, color=STYLES[0][0])
        axis.set_xlabel(label)
    axes[0].set_ylabel("moments")


def _wrong(report: Mapping[str, Any]) -> Part:
    warnings = [
        (sentence, str(len(names)), ", ".join(names[:3]) + (", ..." if len(names) > 3 else ""))
        for sentence, names in sentences_of(report)
    ]
    refused = [
        (look["file"], sentence.removeprefix(f"{Path(look['file']).name}: "))
        for look in report["looks"]
        for sentence in look["refused"]
    ]
    refused += [(file, reason.strip().splitlines()[-1]) for file, reason in report["broken"].items()]
    tables = [Table("To know", ("what", "recordings", "which"), tuple(warnings[:MOST_ROWS]))] if warnings else []
    if refused:
        tables.append(Table(f"Refused: {len(refused)}", ("file", "why"), tuple(refused[:MOST_ROWS])))
    if passed_over := report["passed_over"]:
        rows = [(ending or "none", str(count)) for ending, count in passed_over.items()]
        tables.append(Table("Passed over", ("ending", "files that are no recordings"), tuple(rows)))
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


def _recordings(report: Mapping[str, Any]) -> Part:
    found = [(name, about) for look in report["looks"] for name, about in look["recordings"].items()]
    rows = [
        (
            name,
            number(about["seconds"], 1),
            number(about["rate"], 1),
            number(about["gap"], 2),
            ", ".join(about["signals"]).replace("_", " ") or "nothing",
            "not recorded" if about["others"] is None else str(about["others"]),
            "yes" if about["map"] else "no",
            str(about["lights"]),
            "; ".join(f"{what}: {source}" for what, source in about["sources"].items()) or "-",
        )
        for name, about in found[:MOST_ROWS]
    ]
    head = ("recording", "length", "places", "longest gap", "measured", "others", "map", "lights", "labels")
    return Part(
        name="recordings",
        title="What was recorded",
        method="length: [s]. places: of the ego, in a second. longest gap: between two of them [s]; a recording is cut "
        "where it is more than 1 s. measured: on the car, besides its places. others: road users in all. lights: "
        "traffic lights whose state is known. labels: where they are from; what is not named there was measured.",
        limits="Recordings of which nothing could be used are not in this table.",
        tables=(Table(_first(len(rows), len(found), "recording"), head, tuple(rows)),),
        values={},
    )


def _first(shown: int, count: int, what: str) -> str:
    return _many(count, what) if shown == count else f"The first {shown} of {_many(count, what)}"


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
            str(d["hard_braking"]),
            str(d["near"]),
            str(d["off_route"]),
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
        "braking",
        "near",
        "off route",
        "route",
    )
    return Part(
        name="drives",
        title="Drives",
        method="speed: mean [m/s]. smoothed: mean distance of the path that is driven from the recorded one [m]. "
        "after 3 s: median distance from the recorded path of a car that does what was inferred [m]. jerk: root "
        "mean square [m/s^3]. steering: its correlation with the curvature of the recorded path; below zero, its "
        "sign is reversed. overlaps: pairs of boxes that overlap at the first moment. on lane: share of moments "
        "[%]. braking, near, off route: how often it brakes hard, comes near to others, and leaves the route. route: "
        "recorded, from the map, or the driven path.",
        limits="Figures on how believable a recording is, not on how well it was driven.",
        tables=(Table(_first(len(rows), len(drives), "drive"), head, tuple(rows)),),
        values={},
    )


def _pictures(drives: list[Mapping[str, Any]], strips: Mapping[str, Path]) -> Part:
    shown = [d for d in drives if d["name"] in strips and strips[d["name"]].is_file()][:MOST_PICTURES]
    return Part(
        name="pictures",
        title="What it looks like",
        method="Left: the map and the road users at first, with the path as it was recorded (white dots) and "
        "as it is driven (magenta), which leads upwards on the whole. Beside it: the view from above at eight "
        "moments, the ego driving upwards. Below, where there are any: what the contract's cameras would have seen.\n\n"
        "Green: the ego. Red: vehicles and bicycles. Pink: pedestrians. Orange: objects. Blue: the route. Yellow: "
        "solid lines and edges. White: broken lines.",
        limits=f"Drives after the first four of a file, and the first {MOST_PICTURES} in all, are not shown.",
        tables=(),
        values={},
        pictures={_caption(d): _read(strips[d["name"]]) for d in shown},
    )


def _caption(drive: Mapping[str, Any]) -> str:
    words = [f"{drive['steps']} steps"]
    words += [f"{drive['speed']:.1f} m/s"] if "speed" in drive else []
    return f"{drive['name']}: {', '.join(words)}"


def _read(path: Path) -> np.ndarray:
    image = require("PIL.Image", extra="train")
    with image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def _cells(rows: Iterable[tuple[Any, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(map(str, row)) for row in rows)
