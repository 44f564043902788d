"""Read recordings of real driving."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class ImportArgs:
    """Turn recordings of real driving, of many formats, into a dataset to train on, and say what is wrong with them.

    A file that cannot be read costs that file only and is listed with its reason."""

    path: Annotated[Path, tyro.conf.Positional]
    """A file, a folder of a data set, or a folder of files."""
    out: Path | None = None
    """Folder for the report and the dataset, OUT/data: the same command goes on from what is there."""
    format: str = ""
    """Of the recordings, found by itself if not named: argoverse2, argoverse2-sensor, comma, commonroad, gpudrive,
    metadrive, nuplan, nuscenes, rosbag, scenarionet, table, video or waymo."""
    workers: int = 2
    """Processes that read files, or with Ray actors."""
    engine: Literal["local", "ray"] = "local"
    """What runs them: processes of this machine, or actors of a Ray cluster, whose machines have this package, and the
    recordings at the same paths."""
    address: str = ""
    """Of the Ray cluster, "auto" for one that this machine belongs to; by default one is started here."""
    check: bool = False
    """Only look at them, without making a dataset."""
    camera: str = "front"
    """What films (mp4 files) show: front, left or right. All that they do not is unknown in the dataset."""
    fit_car: bool = False
    """Fit how the car answers to what was measured on it (gains, offset, delays, understeer) rather than assume it, in
    drives of at least 15 s; the report says what was found, and how far off a car that answers so is."""


def run(args: ImportArgs) -> int:
    """Read; 0 when everything can be used, 1 when something was refused."""
    from learned_sim_env.data.engines import Engine
    from learned_sim_env.data.imports import ImportConfig, look_at_all

    config = ImportConfig(
        args.path,
        args.out,
        args.format,
        args.workers,
        args.check,
        args.fit_car,
        Engine(args.engine, args.address),
        args.camera,
    )
    report = look_at_all(config)
    print(report)
    return 1 if report.failed else 0
