"""The arrays of a tape: which there must be, whether they fit each other, and how earlier ones were called."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from learned_sim_env.display.frame import Status

# 1 knew the view from above alone.
FORMAT = 2
# What leads to a frame: an action, a jump, or nothing (the same moment is shown again).
STEP, JUMP, HOLD = range(3)
# Of every frame: shape, and kinds of type.
FRAMES: dict[str, tuple[tuple[int, ...], str]] = {
    **dict.fromkeys(("kind", "jump", "seed", "context", "step", "overlay", "twin"), ((), "i")),
    **dict.fromkeys(("reward", "cost"), ((), "f")),
    "action": ((2,), "f"),
    "end_reason": ((), "U"),
    "twin_wanted": ((), "b"),
    **{f"status/{f.name}": ((), "Ufib") for f in fields(Status)},
}
# Groups of arrays with one for each view, named group/modality: checksums of what the dream showed (T,), what the
# overlay showed, and what the twin showed.
CRC, OVERLAY, TWIN = "crc", "overlay_view", "twin_view"
# Values of a twin's frame besides its views.
TWIN_VALUES = ("speed", "reward_total", "cost_total", "apart")
# What arrays were called in format 1.
_EARLIER = {"view_crc": f"{CRC}/bev", "overlay_view": f"{OVERLAY}/bev", "twin_view": f"{TWIN}/bev"}


def group(arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays of a group, by what stands behind its name."""
    return {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}


def upgraded(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A tape of format 1 as one of this format; its snapshots are read as they are."""
    if about.get("format") != 1:
        return about, arrays
    # Tapes from before snapshots had a format hold the first.
    return {"snapshot": 1, **about, "format": FORMAT}, {_EARLIER.get(n, n): value for n, value in arrays.items()}


def check(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """`ValueError` for what is missing or does not fit the rest; snapshots are checked where they are used."""
    missing = [name for name in ("checkpoint", "fps") if name not in about]
    crcs, overlays, twins = (group(arrays, name) for name in (CRC, OVERLAY, TWIN))
    seen = [f"twin_{name}" for name in ("end_reason", *TWIN_VALUES)] if twins else []
    jumps = [name for name in arrays if name.startswith("snapshot/")]
    wanted = [*FRAMES, *seen, "trail", "trail_start", "snapshot/seed", "snapshot/step"]
    missing += [name for name in wanted if name not in arrays]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    count, starts = len(arrays["kind"]), arrays["trail_start"]
    if not count:
        raise ValueError("it has no frame")
    frames = {**FRAMES, **{f"{CRC}/{name}": ((), "u") for name in crcs}}
    for name, (shape, kinds) in frames.items():
        found = arrays[name]
        if found.shape != (count, *shape) or found.dtype.kind not in kinds:
            raise ValueError(f"{name} is {found.dtype} of shape {found.shape}, for {count} frames")
    kept = {"jump": len(starts) - 1, "overlay": _length(overlays), "twin": _length(twins)}
    parts = {"jump": jumps, "overlay": [f"{OVERLAY}/{n}" for n in overlays]}
    parts["twin"] = [*seen, *(f"{TWIN}/{n}" for n in twins)]
    for index, names in parts.items():
        for name in names:
            if len(arrays[name]) != kept[index]:
                raise ValueError(f"{name} has {len(arrays[name])} entries, not {kept[index]}")
    if (np.diff(starts) < 0).any() or starts[0] != 0 or starts[-1] != len(arrays["trail"]):
        raise ValueError("trail_start does not divide trail")
    for name, number in kept.items():
        low, high = arrays[name].min(), arrays[name].max()
        if low < -1 or high >= number:
            raise ValueError(f"{name} holds {low}..{high}, of {number}")
    if (arrays["jump"][arrays["kind"] == JUMP] < 0).any() or arrays["kind"][0] != JUMP:
        raise ValueError("a jump has no snapshot, or the first frame is none")


def _length(arrays: dict[str, np.ndarray]) -> int:
    return len(next(iter(arrays.values()))) if arrays else 0
