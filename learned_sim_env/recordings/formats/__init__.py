"""One module a format of recordings. Each has `recognises(path)`, from a look at it, and `read(path)`.

`recognises(path)` says whether a file or folder is one of its recordings; it raises nothing but `OSError`, for want of
rights. `read(path)` yields its `Recording`s, and a `RecordingError` in the place of one that cannot be used while
others can; it raises one where the file is damaged as a whole, and `ImportError` when a package is missing that reads
it. Where that depends on files or folders that are not in the recording, as a map, `beside(path)` names them, if they
are there.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from learned_sim_env.recordings.film import Film
from learned_sim_env.recordings.recording import Recording, RecordingError
from learned_sim_env.spec import unknown

# By name, as `--format` takes them, in the order in which they are tried: what they are.
FORMATS = {
    "nuscenes": "nuScenes tables (folder), with or without CAN bus",
    "argoverse2": "Argoverse 2 motion forecasting (folder of a scenario, or its parquet)",
    "argoverse2-sensor": "Argoverse 2 sensor log (folder)",
    "comma": "comma2k19 segment (folder)",
    "rosbag": "ROS 1 bag, ROS 2 bag (folder), MCAP",
    "nuplan": "nuPlan log (.db)",
    "waymo": "Waymo Open Motion, Scenario TFRecord",
    "scenarionet": "ScenarioNet pickle",
    "metadrive": "MetaDrive 0.3 pickle of a Waymo scene",
    "gpudrive": "Nocturne and GPUDrive JSON of Waymo scenes",
    "commonroad": "CommonRoad scenario (XML, 2018b or 2020a)",
    "donkeycar": "donkeycar tub (folder)",
    "table": "the documented CSV or Parquet layout",
    "video": "film of a camera (MP4 and others), without anything else",
}

# Where a format's module is, for those that lie in a folder with others.
MODULES = {
    "nuscenes": "nuscenes.nuscenes",
    "argoverse2": "argoverse2.motion",
    "argoverse2-sensor": "argoverse2.sensor",
    "rosbag": "rosbag.rosbag",
    "nuplan": "nuplan.nuplan",
    "waymo": "waymo.waymo",
    "metadrive": "waymo.metadrive",
    "gpudrive": "waymo.gpudrive",
}

# Endings of archives, which are not opened.
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")


def module_of(name: str) -> Any:
    """The module of a format; `ValueError` for an unknown name."""
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return import_module(f"learned_sim_env.recordings.formats.{MODULES.get(name, name)}")


def format_of(path: Path) -> str | None:
    """Name of the format of a file or folder, None if it is none of them."""
    return next((name for name in FORMATS if _recognised(path, name)), None)


def find(path: Path, name: str | None = None) -> Iterator[tuple[Path, str]]:
    """Files and folders that are recordings at and below `path`, sorted, with names of their formats: see `walk`."""
    return ((file, kind) for file, kind in walk(path, name) if kind is not None)


def walk(path: Path, name: str | None = None) -> Iterator[tuple[Path, str | None]]:
    """The same, and files that are none with None. What is inside of a recording that is a folder is not told.

    name: only of this format. With it, `path` itself is taken for one whatever it looks like, if it is a file.

    Raises:
        OSError: if there is nothing at `path`.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a file or folder of recordings")
    if name is not None and path.is_file():
        yield path, name
    else:
        yield from _walk(path, FORMATS if name is None else (name,))


def _walk(path: Path, names: Collection[str]) -> Iterator[tuple[Path, str | None]]:
    found = next((n for n in names if _recognised(path, n)), None)
    if found is not None or not path.is_dir():
        yield path, found
        return
    for inner in sorted(path.iterdir()):
        # What a link names may lie outside, or above.
        if not inner.name.startswith(".") and not inner.is_symlink():
            yield from _walk(inner, names)


def _recognised(path: Path, name: str) -> bool:
    """Whether it is of a format, or cannot be looked at for want of rights: reading it then says so."""
    try:
        return module_of(name).recognises(path)
    except OSError:
        return True


def read(path: Path, name: str | None = None) -> Iterator[Recording | Film | RecordingError]:
    """The recordings and films of a file or folder; an error in the place of one that cannot be used among others.

    Raises:
        RecordingError: for what is no recording, or is damaged; the message names file and reason.
        ImportError: when a package is missing that reads it.
    """
    name = format_of(path) if name is None else name
    if name is None:
        raise RecordingError(f"{path.name}: {what_else(path)}")
    try:
        for found in module_of(name).read(path):
            yield RecordingError(f"{path.name}: {found}") if isinstance(found, RecordingError) else found
    except RecordingError as error:
        raise RecordingError(f"{path.name}: {error}") from None
    except (OSError, ImportError):
        raise
    except Exception as error:
        # Files of others can be damaged in any way: that costs this file, and is said in one line.
        raise RecordingError(
            f"{path.name} is damaged, or not what {FORMATS[name]!r} usually is ({type(error).__name__}: {error})"
        ) from error


def what_else(path: Path) -> str:
    """What a path is that is no recording, in words."""
    known = f"known formats: {', '.join(FORMATS)}; or make it a table"
    if path.is_dir() and not any(path.iterdir()):
        return "this folder is empty"
    if path.is_dir():
        return f"this folder is no recording of a known format ({known})"
    if path.stat().st_size == 0:
        return "this file is empty"
    if zipfile.is_zipfile(path) or path.name.endswith(ARCHIVES):
        return "this is an archive: unpack it, and name the folder"
    if path.suffix == ".xodr" or path.name.endswith(".xodr.gz"):
        return "this is an OpenDRIVE map, in which nobody drives"
    return f"this is no recording of a known format ({known})"
