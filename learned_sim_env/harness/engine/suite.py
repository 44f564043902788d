"""A suite of scenarios: a readable file, and beside it the real moments that they start from."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.files import replacing, write_text
from learned_sim_env.resources import as_path, suites_dir
from learned_sim_env.spec import CONTRACTS, Fingerprints, unknown
from learned_sim_env.world_model.contexts import Contexts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1
FILE, STARTS, PATHS = "suite.toml", "starts.npz", "paths.npz"
# What may be expected of a driver. "safe": no collision, nothing that costs. "drive": that, and to get on. "arrive":
# to reach the end of the route.
EXPECTED = ("safe", "drive", "arrive")
# [m/s] On average: whoever is slower does not get on.
GETTING_ON = 2.0


@dataclass(frozen=True)
class Scenario:
    """One scenario. tags: kinds of scene. start: its row in `starts.npz`. seed: of its chance. horizon: steps."""

    name: str
    tags: tuple[str, ...]
    start: int
    seed: int
    horizon: int
    expected: str

    def __post_init__(self) -> None:
        if self.expected not in EXPECTED:
            raise unknown(f"expectation of scenario {self.name}:", self.expected, EXPECTED)
        if self.horizon < 1:
            raise ValueError(f"scenario {self.name} has a horizon of {self.horizon} steps; at least 1 is needed")


@dataclass(frozen=True, eq=False)
class Suite:
    """N starts and the scenarios that begin there.

    starts: as a checkpoint's contexts, so that a simulator can be brought there; they belong to no checkpoint.
    paths: (N, H, 3) float32 x, y, heading [m, m, rad] of the recorded drive after each start, in the ego's frame there.
    path_steps: (N,) int64, steps that were recorded, at most H; the rest repeats the last.
    limits: by metric, how much worse than a baseline is still no regression.
    fingerprint: SHA-256 of what was read.
    """

    name: str
    scenarios: tuple[Scenario, ...]
    starts: Contexts
    paths: np.ndarray
    path_steps: np.ndarray
    limits: dict[str, float]
    fingerprint: str = ""

    def select(self, names: tuple[str, ...]) -> tuple[Scenario, ...]:
        """The scenarios with one of these names or tags; all without any. `ValueError` for one that there is not."""
        known = {s.name for s in self.scenarios} | {tag for s in self.scenarios for tag in s.tags}
        for name in names:
            if name not in known:
                raise unknown("scenario or tag", name, sorted(known))
        return tuple(s for s in self.scenarios if not names or {s.name, *s.tags} & set(names))

    def save(self, folder: Path) -> None:
        """Write it, the readable file last: without it a folder is no suite."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / STARTS) as temporary:
            self.starts.save(temporary)
        with replacing(folder / PATHS) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, paths=self.paths, path_steps=self.path_steps)
        digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (STARTS, PATHS)}
        write_text(folder / FILE, _written(self, digests))

    @staticmethod
    def folder(name_or_path: str | Path) -> Path:
        """Where a suite is, or would be."""
        return as_path(name_or_path) or suites_dir() / name_or_path

    @staticmethod
    def load(name_or_path: str | Path) -> Suite:
        """Read a suite that ships, by its name, or one in a folder, by its path, such as ./mine.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if its file is of another format, has unknown or missing keys, or does not fit the arrays.
        """
        folder = Suite.folder(name_or_path)
        if not (folder / FILE).is_file():
            if as_path(name_or_path) is not None:
                raise FileNotFoundError(f"{folder} is not a suite: it has no {FILE}")
            names = sorted(p.parent.name for p in suites_dir().glob(f"*/{FILE}"))
            raise FileNotFoundError(
                f"{unknown('suite', name_or_path, names)}, or the path of a suite's folder (./mine)"
            )
        content = (folder / FILE).read_bytes()
        try:
            # Some editors put a byte order mark before it.
            written = tomllib.loads(content.decode("utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"{folder / FILE} is not TOML: {error}") from error
        if written.get("format") != FORMAT:
            raise ValueError(f"{folder / FILE} has format {written.get('format')!r}, this package reads {FORMAT}")
        CONTRACTS["driving"].check(str(folder / FILE), Fingerprints.parse(written.get("contract")))
        for name, digest in written["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise ValueError(f"{folder / name} does not have the hash that {FILE} gives: draw the suite anew")
        with np.load(folder / PATHS, allow_pickle=False) as file:
            paths, path_steps = file["paths"], file["path_steps"]
        starts = Contexts.load(folder / STARTS)
        scenarios = tuple(_read(folder / FILE, table, len(starts)) for table in written.get("scenario", ()))
        names = [s.name for s in scenarios]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{folder / FILE} has more than one scenario called {name!r}")
        fingerprint = hashlib.sha256(content).hexdigest()
        return Suite(folder.name, scenarios, starts, paths, path_steps, dict(written["limits"]), fingerprint)


def _read(path: Path, table: Mapping[str, Any], starts: int) -> Scenario:
    known = [f.name for f in fields(Scenario)]
    # What is there for people: where the moment comes from.
    for key in table:
        if key not in (*known, "from_seed", "at_step"):
            raise unknown(f"key of a scenario in {path}:", key, known)
    for key in known:
        if key not in table:
            raise ValueError(f"scenario {table.get('name')!r} in {path} lacks {key!r}")
    if not 0 <= table["start"] < starts:
        raise ValueError(f"scenario {table['name']!r} in {path} has start {table['start']}, of {starts}")
    return Scenario(**{**{key: table[key] for key in known}, "tags": tuple(table["tags"])})


def _written(suite: Suite, digests: dict[str, str]) -> str:
    """The readable file."""
    lines = [
        "# Scenarios that a policy is driven through, made by `learned-sim regress --draw`.",
        "#   expected: safe (no collision, nothing that costs), drive (that, and to get on), arrive (at the route's "
        "end).",
        "#   start: row of starts.npz and paths.npz. seed: of the dream's chance. horizon: steps of 0.1 s.",
        "#   from_seed, at_step: the simulator's scenario and the step of its recording that it starts at.",
        f"format = {FORMAT}",
        f'contract = "{CONTRACTS["driving"].fingerprints(("bev", "ego"))}"',
        "",
        "# By how much a metric may be worse than the baseline's before that is a regression.",
        "[limits]",
        *(f"{name} = {value:g}" for name, value in suite.limits.items()),
        "",
        "[files]",
        *(f'"{name}" = "{digest}"' for name, digest in digests.items()),
    ]
    for s in suite.scenarios:
        steps = int(suite.starts.replay_starts[s.start + 1] - suite.starts.replay_starts[s.start])
        lines += [
            "",
            "[[scenario]]",
            f'name = "{s.name}"',
            f"tags = [{_quoted(s.tags)}]",
            f'expected = "{s.expected}"',
            f"horizon = {s.horizon}",
            f"seed = {s.seed}",
            f"start = {s.start}",
            f"from_seed = {int(suite.starts.scenarios[s.start])}",
            f"at_step = {steps}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words)
