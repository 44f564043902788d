"""Snapshots of rows: their contents, and the checks that come before any of it is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from learned_sim_env.drivers.ray_features import LAG
from learned_sim_env.environments import info
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.rendering.rays import ANGLES
from learned_sim_env.spec import NUM_CLASSES, unknown
from learned_sim_env.world_model.checkpoint import Checkpoint

# Version of the layout below.
FORMAT = 2
_KEYS = ("format", "checkpoint", "state", "drawn", "seed", "step", "record")
_OPTIONAL = ("sight",)


def taken(
    rollout: Rollout, row: int, record: np.void, checkpoint: Checkpoint, past: np.ndarray | None = None
) -> dict[str, Any]:
    """Everything about a row: a dict of NumPy arrays, numbers and strings that shares no memory with it.

    "format": `FORMAT`. "checkpoint": its fingerprint. "state": arrays by name, of the model. "drawn": by modality,
    what was drawn of it. "seed", "step": int. "record": the fields of `info.RECORD` by name.
    "sight": what a flat observation remembers, `RayFeatures.past` of the row, only where `past` is given.
    """
    named = {name: record[name].copy() for name in info.RECORD.names or ()}
    sight = {} if past is None else {"sight": past.copy()}
    return {"format": FORMAT, "checkpoint": checkpoint.fingerprint, **rollout.snapshot(row), "record": named, **sight}


def opened(snapshot: Any, rollout: Rollout, checkpoint: Checkpoint) -> tuple[dict[str, Any], np.ndarray]:
    """A snapshot of this format, and the record, (1,) of `info.RECORD`, in it, after all checks.

    Raises:
        ValueError: for anything but a snapshot, another format or checkpoint, or a part that is missing, unknown, or
            of another shape, type or range.
    """
    if not isinstance(snapshot, Mapping) or "checkpoint" not in snapshot:
        raise ValueError(f"a snapshot is what `snapshot()` returned, not {type(snapshot).__name__}")
    if snapshot.get("format") == 1 and "view" in snapshot:
        snapshot = _from_format_1(snapshot)
    if snapshot.get("format") != FORMAT:
        raise ValueError(
            f"the snapshot has format {snapshot.get('format')!r}, this package reads {FORMAT}: take it anew"
        )
    _names("the snapshot", snapshot, _KEYS, _OPTIONAL)
    if snapshot["checkpoint"] != checkpoint.fingerprint:
        raise ValueError(
            f"the snapshot belongs to checkpoint {str(snapshot['checkpoint'])[:12]}, "
            f"this is {checkpoint.name!r} ({checkpoint.fingerprint[:12]}): its state means nothing here"
        )
    layout = rollout.layout()
    _names("the snapshot's state", snapshot["state"], layout)
    for name, (shape, dtype) in layout.items():
        _array(f"state[{name!r}] of the snapshot", snapshot["state"][name], shape, dtype)
    _names("what the snapshot has drawn", snapshot["drawn"], (), tuple(checkpoint.model.draws))
    for name, value in snapshot["drawn"].items():
        modality = checkpoint.contract.modality(name)
        _array(f"drawn[{name!r}] of the snapshot", value, modality.shape, modality.dtype)
        if modality.kind == "classes" and value.max() >= NUM_CLASSES:
            raise ValueError(f"drawn[{name!r}] of the snapshot holds {value.max()}, not class ids 0..{NUM_CLASSES - 1}")
    if "sight" in snapshot:
        _array("the snapshot's sight", snapshot["sight"], (LAG + 1, len(ANGLES)), np.dtype(np.float32))
        if not np.isfinite(snapshot["sight"]).all():
            raise ValueError("the snapshot's sight is not finite")
    largest = np.iinfo(np.int64).max
    _integer("the snapshot's seed", snapshot["seed"], -largest - 1, largest)
    _integer("the snapshot's step", snapshot["step"], 0, largest)
    return dict(snapshot), _record(snapshot["record"], len(checkpoint.contexts))


def _from_format_1(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot of format 1, in which only the view from above could be drawn, in the present format."""
    kept = {name: value for name, value in snapshot.items() if name != "view"}
    drawn = {} if snapshot["view"] is None else {"bev": snapshot["view"]}
    return {**kept, "format": FORMAT, "drawn": drawn}


def _record(values: Any, contexts: int) -> np.ndarray:
    names = info.RECORD.names or ()
    _names("the snapshot's record", values, names)
    record = np.zeros(1, info.RECORD)
    for name in names:
        value, field = np.asarray(values[name]), info.RECORD[name]
        _array(f"record[{name!r}] of the snapshot", value, field.shape, field.base)
        if not np.isfinite(value).all():
            raise ValueError(f"record[{name!r}] of the snapshot is not finite: {value}")
        record[name] = value
    _integer("record['end'] of the snapshot", int(record["end"][0]), -1, len(info.END_REASONS) - 2)
    _integer("record['context'] of the snapshot", int(record["context"][0]), -1, contexts - 1)
    return record


def _names(what: str, given: Any, wanted: Iterable[str], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is {type(given).__name__}, not a dict")
    wanted = tuple(wanted)
    missing = [name for name in wanted if name not in given]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(map(repr, missing))}: it is not whole")
    for name in given:
        if name not in (*wanted, *optional):
            raise unknown(f"name in {what}:", name, (*wanted, *optional))


def _array(what: str, value: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    found = np.asarray(value)
    if found.shape != shape or found.dtype != dtype:
        raise ValueError(f"{what} is {found.dtype} of shape {found.shape}, expected {dtype} of shape {shape}")


def _integer(what: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}, not an integer from {low} to {high}")
