"""What happened in a recorded drive, as arrays: enough to drive it again, bit for bit.

A drive is a sequence of frames. Most come from the one before by an action; some jump: at the start, and where the user
reset, rewound, went back to a mark or perturbed the model. A jump stores a snapshot of its moment. What the simulator
and the overlay showed is stored as it was seen; what was imagined is imagined again.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.display.frame import Frame, Status, TwinFrame, Views
from learned_sim_env.environments import snapshots
from learned_sim_env.files import replacing
from learned_sim_env.version import __version__
from learned_sim_env.viewer.tape_format import (
    CRC,
    FORMAT,
    JUMP,
    OVERLAY,
    STEP,
    TWIN,
    TWIN_VALUES,
    check,
    group,
    upgraded,
)
from learned_sim_env.viewer.timeline import TimelineMoment


@dataclass(eq=False)
class Tape:
    """A recorded drive of T frames with J jumps.

    about: what it was made with: "checkpoint" (fingerprint), "env_id", "fps", "size" of the film, "version".
    arrays, by name:
        kind: (T,) int8, of `STEP`, `JUMP`, `HOLD`. jump: (T,) int32, index of the snapshot, -1 without.
        action: (T, 2) float32 that led to the frame, zero where none did. reward, cost: (T,) float64 of the frame's
        step. seed, context, step: (T,) int64. end_reason: (T,) text. crc/...: (T,) uint32, checksum of each view.
        status/...: (T,), fields of `Status`.
        snapshot/...: (J, ...), what `snapshot()` gave. trail: uncertainties before the jumps, one after the other, that
        of jump j from trail_start[j] to trail_start[j + 1].
        overlay: (T,) int32 index into overlay_view/... (n, H, W) uint8, -1 without; twin: the same, into twin_view/...
        (m, H, W) or (m, H, W, 3) uint8 and twin_... (m,).
    """

    about: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.arrays["kind"])

    def snapshot(self, j: int) -> dict[str, Any]:
        """What `snapshot()` gave at jump `j`."""
        nested: dict[str, Any] = {"state": {}, "record": {}}
        for name, values in group(self.arrays, "snapshot").items():
            part, _, key = name.partition("/")
            if key:
                nested.setdefault(part, {})[key] = values[j]
            else:
                nested[part] = values[j]
        numbers = {name: int(nested[name]) for name in ("seed", "step")}
        return {"format": self.about["snapshot"], "checkpoint": self.about["checkpoint"], **nested, **numbers}

    def trail(self, j: int) -> np.ndarray:
        """(n,) float32, the uncertainties before jump `j`."""
        starts = self.arrays["trail_start"]
        return self.arrays["trail"][starts[j] : starts[j + 1]]

    def dressed(self, t: int, frame: Frame) -> Frame:
        """Frame `t` as it was shown, from what was imagined again."""
        a = self.arrays
        status = {f.name: a[f"status/{f.name}"][t].item() for f in fields(Status)}
        overlay = self._views(OVERLAY, a["overlay"][t])
        twin, m = None, a["twin"][t]
        if m >= 0:
            values = {name: float(a[f"twin_{name}"][m]) for name in TWIN_VALUES}
            twin = TwinFrame(self._views(TWIN, m) or {}, end_reason=str(a["twin_end_reason"][m]), **values)
        wanted = bool(a["twin_wanted"][t])
        seed = int(a["seed"][t])
        return replace(frame, status=Status(**status), overlay=overlay, twin=twin, twin_wanted=wanted, seed=seed)

    def _views(self, name: str, i: int) -> Views | None:
        """Views of a group, of the i-th entry; None for -1."""
        return None if i < 0 else {key: values[i] for key, values in group(self.arrays, name).items()}

    def save(self, path: Path) -> Path:
        """Write it as a compressed `.npz`; returns the path."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **{**self.arrays, "about": np.array(json.dumps(self.about))})  # type: ignore[arg-type]
        return path

    @staticmethod
    def load(path: Path) -> Tape:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no recording of a drive, or of another format.
        """
        if not path.is_file():
            raise FileNotFoundError(f"there is no recording {path}")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(str(arrays.pop("about")))
        except (KeyError, ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
            raise ValueError(f"{path} is not the recording of a drive: {error}") from error
        about = about if isinstance(about, dict) else {}
        about, arrays = upgraded(about, arrays)
        if about.get("format") != FORMAT:
            raise ValueError(
                f"{path} has format {about.get('format')!r}, this package reads {FORMAT}: it was made with version "
                f"{about.get('version')!r} of the package"
            )
        try:
            check(about, arrays)
        except ValueError as error:
            raise ValueError(f"{path} is not a whole recording: {error}") from error
        return Tape(about, arrays)


class Recorder:
    """Collects a tape, frame by frame.

    Args:
        about: see `Tape`.
    """

    def __init__(self, **about: Any):
        self._about = {"format": FORMAT, "snapshot": snapshots.FORMAT, "version": __version__, **about}
        self._rows: list[dict[str, Any]] = []
        self._jumps: list[TimelineMoment] = []
        self._overlays: list[Views] = []
        self._twins: list[TwinFrame] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, kind: int, moment: TimelineMoment, frame: Frame) -> None:
        """Append a frame. kind: how it came about; the first one jumps, whatever is said."""
        kind = kind if self._rows else JUMP
        if kind == JUMP:
            self._jumps.append(moment)
        self._rows.append(
            {
                "kind": kind,
                "jump": len(self._jumps) - 1 if kind == JUMP else -1,
                "action": moment.action if kind == STEP else np.zeros(2, np.float32),
                "reward": moment.reward,
                "cost": frame.info["cost"],
                "seed": frame.seed,
                "context": frame.info["context"],
                "step": frame.step,
                "end_reason": frame.info["end_reason"],
                **{f"{CRC}/{name}": crc(view) for name, view in frame.views.items()},
                "overlay": self._kept(self._overlays, frame.overlay),
                "twin": self._kept(self._twins, frame.twin),
                "twin_wanted": frame.twin_wanted,
                **{f"status/{name}": value for name, value in asdict(frame.status).items()},
            }
        )

    def tape(self) -> Tape:
        """All of it.

        Raises:
            ValueError: if there is no frame.
        """
        if not self._rows:
            raise ValueError("there is no frame to save")
        types: dict[str, Any] = {"kind": np.int8, "jump": np.int32, "overlay": np.int32, "twin": np.int32}
        types |= {"action": np.float32, "reward": np.float64, "cost": np.float64}
        types |= {name: np.uint32 for name in self._rows[0] if name.startswith(f"{CRC}/")}
        arrays = {name: np.array([row[name] for row in self._rows], types.get(name)) for name in self._rows[0]}
        trails = [moment.uncertainties()[:-1] for moment in self._jumps]
        arrays["trail_start"] = np.cumsum([0, *map(len, trails)])
        arrays["trail"] = np.concatenate(trails)
        arrays |= _snapshots([moment.snapshot for moment in self._jumps])
        arrays |= _stacked(OVERLAY, self._overlays)
        arrays |= _stacked(TWIN, [twin.views for twin in self._twins])
        if self._twins:
            for name in (*TWIN_VALUES, "end_reason"):
                arrays[f"twin_{name}"] = np.array([getattr(twin, name) for twin in self._twins])
        return Tape(self._about, arrays)

    @staticmethod
    def _kept(kept: list[Any], value: Any) -> int:
        """Index of a value among those that are kept, -1 of None."""
        if value is None:
            return -1
        if not kept or kept[-1] is not value:
            kept.append(value)
        return len(kept) - 1


def crc(view: np.ndarray) -> int:
    """Checksum of a view."""
    return zlib.crc32(view.tobytes())


def _stacked(name: str, kept: list[Views]) -> dict[str, np.ndarray]:
    """Views of several moments as a group of arrays; nothing of none."""
    return {f"{name}/{key}": np.stack([views[key] for views in kept]) for key in (kept[0] if kept else ())}


def _snapshots(found: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    stacked = {}
    for name, value in found[0].items():
        if name in ("format", "checkpoint"):  # alike in all of them, and in `about`
            continue
        if isinstance(value, dict):
            for key in value:
                stacked[f"snapshot/{name}/{key}"] = np.stack([np.asarray(s[name][key]) for s in found])
        else:
            stacked[f"snapshot/{name}"] = np.stack([np.asarray(s[name]) for s in found])
    return stacked
