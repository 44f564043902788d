"""Recordings, read by many processes: what is in them, why some are refused, and a data set of the rest.

The folder holds `files/`, what each file turned into, from which is resumed (`<name>.json`, and its episodes and
pictures in `<name>/`), `report.json`, and `report.html` for people. Unless recordings are only looked at, it also holds
`data/`, the Minari dataset, `packed.npz`, what training reads, `episodes.json`, what they are of, and `summary.json`.
Episodes of one log belong to the same split.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from learned_sim_env.data.dataset import pack
from learned_sim_env.data.engines import LOCAL, Engine
from learned_sim_env.data.import_page import found_in_words, parts_of, passed_over_in_words
from learned_sim_env.data.import_report import Report
from learned_sim_env.data.recorded import FILMED, NAMES, RecordedEpisodes, episode_of, filmed_episode
from learned_sim_env.data.store import EpisodeFolder, minari_id, write_minari
from learned_sim_env.data.summary import Summary
from learned_sim_env.data.workers import Task
from learned_sim_env.files import remove_unfinished, write_json
from learned_sim_env.films import save_picture
from learned_sim_env.locks import alone_in
from learned_sim_env.optional import require
from learned_sim_env.recordings import formats, imported
from learned_sim_env.recordings.drives import Drive
from learned_sim_env.recordings.film import Footage
from learned_sim_env.recordings.formats import FORMATS
from learned_sim_env.recordings.formats.sources import state_of
from learned_sim_env.recordings.imported import ImportedEpisode
from learned_sim_env.recordings.looking import Look, look_at
from learned_sim_env.recordings.strips import strip
from learned_sim_env.recordings.views import Views
from learned_sim_env.reporting.html import write_html
from learned_sim_env.spec import CAMERAS, CONTRACTS, unknown
from learned_sim_env.version import __version__

# [s] A folder of a whole data set is one file.
LONGEST = 24 * 3600.0
# Drives of a file that are drawn.
STRIPS = 4


@dataclass(frozen=True)
class ImportConfig:
    """What to read. out: a folder for what was found, None to keep nothing. recording_format: of all, "" to find it.

    check: only look at them, without making a data set. fit_car: how each answers is fitted, see `recordings.car_fit`.
    camera: what films show, a camera of the contract.
    """

    path: Path
    out: Path | None = None
    recording_format: str = ""
    workers: int = 2
    check: bool = False
    fit_car: bool = False
    engine: Engine = LOCAL
    camera: str = "front"

    def __post_init__(self) -> None:
        if self.out is None and not self.check:
            raise ValueError("a data set needs a folder: name it with --out, or use --check to look at recordings only")
        if self.recording_format and self.recording_format not in FORMATS:
            raise unknown("format", self.recording_format, FORMATS)
        cameras = [m.name for m in FILMED.cameras]
        if self.camera not in cameras:
            raise unknown("camera", self.camera, cameras)
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}; at least 1 is needed")


@dataclass(frozen=True)
class LookTask:
    """Made into a task inside a worker: looks at the file of a number and writes what it found, last of all its record.

    files: path, format, and the name of the record. keep: episodes as well. draw: a strip of each of the first drives.
    """

    files: tuple[tuple[Path, str, str], ...]
    folder: Path
    keep: bool
    fit_car: bool = False
    draw: bool = True
    camera: str = "front"

    def __call__(self) -> Task:
        def task(number: int) -> int:
            path, name, record_name = self.files[number]
            record, count = self.folder / record_name, 0

            def use(drive: Drive | Footage, views: Views) -> None:
                nonlocal count
                if self.keep:
                    if isinstance(drive, Footage):
                        made = filmed_episode(drive, count, self.camera)
                    else:
                        made = episode_of(drive, count, views)
                    EpisodeFolder(episodes_of(record)).write(made)
                if self.draw and count < STRIPS:
                    save_picture(strip_of(record, count), strip(drive, views))
                count += 1

            look = look_at(path, name, use if self.keep or self.draw else None, self.fit_car)
            write_json(record, look.to_dict())
            return sum(drive["steps"] for drive in look.drives)

        return task


def look_at_all(config: ImportConfig) -> Report:
    """Look at every recording at a path; those that `config.out` already knows are not read again.

    Raises:
        ValueError: where there are no recordings.
        OSError: if there is nothing at the path. ImportError: when Minari is missing.
        BlockingIOError: when another process writes into the folder.
    """
    from tqdm import tqdm

    passed_over: Counter[str] = Counter()
    files = []
    for path, kind in formats.walk(config.path, config.recording_format or None):
        if kind is not None:
            files.append((path, kind))
        elif not config.recording_format:
            passed_over[next((end for end in formats.ARCHIVES if path.name.endswith(end)), path.suffix)] += 1
    if not files:
        inside = f"; in it: {passed_over_in_words(passed_over)}" if config.path.is_dir() and passed_over else ""
        raise ValueError(f"{config.path} holds no recordings: {formats.what_else(config.path)}{inside}")
    keep, draw = not config.check, config.out is not None
    # Rather now than at the end.
    if keep:
        require("minari", extra="train")
    if draw:
        require("matplotlib", extra="train")
    with _folder(config.out) as folder:
        records = {path: folder / record_name(path, kind, config) for path, kind in files}
        # What was refused is tried again: rights and packages change.
        done = {path for path, record in records.items() if _look_of(path, record).drives}
        todo = [number for number, (path, _) in enumerate(files) if path not in done]
        named = tuple((path, kind, str(records[path].relative_to(folder))) for path, kind in files)
        broken: dict[str, str] = {}
        with (
            closing(
                config.engine.run_seeds(
                    LookTask(named, folder, keep, config.fit_car, draw, config.camera),
                    todo,
                    min(config.workers, max(len(todo), 1)),
                    LONGEST,
                )
            ) as results,
            tqdm(total=len(files), initial=len(done), unit="file", smoothing=0.02) as bar,
        ):
            for result in results:
                if failure := result.failure:
                    # What can be mended has been refused: this is a defect.
                    broken[str(files[result.seed][0])] = failure.details or failure.reason
                bar.update()
        looks = [_look_of(path, record) for path, record in records.items() if str(path) not in broken]
        report = Report(tuple(looks), broken, dict(passed_over.most_common()))
        if config.out is not None:
            write_json(config.out / "report.json", report.to_dict())
            write_page(config, config.out, report, records)
        if config.out is not None and keep:
            _write(config, config.out, report, records)
        return report


def _look_of(path: Path, record: Path) -> Look:
    """What was found in a file, with no drives if it was not looked at."""
    if not record.exists():
        return Look(str(path), "")
    # As it is named now: it may have been looked at from another folder.
    return Look(**{**json.loads(record.read_text(encoding="utf-8")), "file": str(path)})


def _write(config: ImportConfig, out: Path, report: Report, records: Mapping[Path, Path]) -> None:
    """The Minari dataset of all episodes, and its summary."""
    where: list[tuple[Path, int, Look]] = []
    for look in report.looks:
        where += [(episodes_of(records[Path(look.file)]), k, look) for k in range(len(look.drives))]
    if not where:
        return
    # In the order of their names, so that the same recordings get the same seeds.
    pieces = [(*where[p.drive], p) for p in report.portions]
    imported.save(
        out,
        [
            ImportedEpisode(
                Path(look.file), look.format, look.drives[k]["name"], p.first, p.last, p.split, config.fit_car
            )
            for _, k, look, p in pieces
        ],
    )
    episodes = RecordedEpisodes([(folder, k, p) for folder, k, _, p in pieces])
    summary, known = Summary(), set[str]()
    for episode in episodes:
        summary.add(episode)
        known.update(episode.observations)
    dataset_id = minari_id(out, otherwise="recorded-v0")
    names = [name for name in (*NAMES, *CAMERAS) if name in known]
    contract = CONTRACTS["driving-camera" if known & set(CAMERAS) else "driving"]
    write_minari(out / "data", episodes, dataset_id, "Recordings of real driving.", contract=contract, names=names)
    write_json(out / "summary.json", summary.to_dict())
    pack(out)


def write_page(config: ImportConfig, out: Path, report: Report, records: Mapping[Path, Path]) -> None:
    """`report.html`, for people."""
    drawn = {}
    for look in report.looks:
        drawn.update({d["name"]: strip_of(records[Path(look.file)], k) for k, d in enumerate(look.drives[:STRIPS])})
    told = report.to_dict()
    about = {"recordings": str(config.path), "found": found_in_words(told), "version": __version__}
    write_html(out / "report.html", f"Recordings in {config.path.name}", about, parts_of(told, drawn))


def episodes_of(record: Path) -> Path:
    """The folder of the episodes of a file."""
    return record.with_suffix("")


def strip_of(record: Path, number: int) -> Path:
    """The picture of a drive of a file."""
    return episodes_of(record) / f"{number}.png"


def record_name(path: Path, kind: str, config: ImportConfig) -> str:
    """What the record of a recording is called: otherwise as soon as a file of it, or this package, is another one."""
    state = state_of(path, kind, config.out)
    about = f"{path.resolve()} {state} {not config.check} {config.fit_car} {config.camera} {__version__}"
    return f"files/{path.stem[:40]}-{hashlib.sha256(about.encode()).hexdigest()[:16]}.json"


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder to keep records in, for this process alone; one that goes away, if none is asked for."""
    if out is None:
        with TemporaryDirectory() as name:
            yield Path(name)
        return
    with alone_in(out):
        remove_unfinished(out / "files")
        yield out
