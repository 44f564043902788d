"""Whether the camera ahead and the view from above name the same vehicles, as a part of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.cameras.frame_futures import steps_up_to
from learned_sim_env.evaluation.levels.cameras.vehicle_reader import (
    FARTHEST,
    NEAREST,
    Places,
    looked_at,
    places,
    trained_reader,
)
from learned_sim_env.evaluation.open_loop import dream, window_reader
from learned_sim_env.evaluation.windows import regular_windows
from learned_sim_env.reporting.display import number, steps_text
from learned_sim_env.reporting.parts import Part, Table, not_applicable
from learned_sim_env.world_model.checkpoint import Checkpoint

NAME, TITLE = "camera_agreement", "L1: do the camera ahead and the view from above name the same vehicles?"
CAMERA = "front"
# Fewest vehicles that say anything.
ENOUGH = 20


def measure_agreement(
    checkpoint: Checkpoint, data: PackedData, stride: int, horizon: int, batch_size: int, seed: int
) -> Part:
    """Of dreamt moments, by a reader that learned from recorded ones of every other episode; see the part's method.

    data: see `open_loop.episodes_for`.
    """
    model = checkpoint.model
    if not {CAMERA, "bev"} <= {*model.draws} & {*data.modalities}:
        return not_applicable(NAME, TITLE, f"the model or the episodes have no {CAMERA} or bev")
    bev, camera = model.contract.bev, model.contract.modality(CAMERA).camera
    assert camera is not None
    windows = regular_windows(data, stride, model.context_steps)
    reader, steps = window_reader([model], data, horizon), steps_up_to(horizon)
    at, pairs, judged = np.array(steps) - 1, [], []
    for first in tqdm(range(0, len(windows), batch_size), desc="vehicles in both views", unit="batch"):
        some = windows[first : first + batch_size]
        batch = reader.read(some)
        c = batch.context
        known = (batch.valid & batch.known["bev"] & batch.known[CAMERA])[:, c:][:, at].numpy()
        true = {name: batch.observations[name][:, c:][:, at].numpy() for name in (CAMERA, "bev")}
        judging = some.episode % 2 == 1
        pairs.append([true[name][~judging][known[~judging]] for name in (CAMERA, "bev")])
        if judging.any():
            drawn = dream(model, batch, None, (CAMERA, "bev"))
            shown = {name: drawn[name][:, at].numpy() for name in (CAMERA, "bev")}
            judged.append([x[judging] for x in (shown[CAMERA], shown["bev"], true[CAMERA], true["bev"], known)])
    pictures, views = (np.concatenate(parts) for parts in zip(*pairs))
    lessons = places(views, bev, camera, seed)
    counts = min(int(lessons.there.sum()), int((~lessons.there).sum()))
    if counts < ENOUGH or not judged:
        return not_applicable(
            NAME, TITLE, f"recorded frames show {counts} vehicles or empty places, {ENOUGH} are needed"
        )
    eye = trained_reader(looked_at(pictures, lessons), lessons.there, seed)
    dreamt, dreamt_views, recorded, recorded_views, known = (np.concatenate(parts) for parts in zip(*judged))
    rows, values = [], {}
    for label, frames, seen in (("model", dreamt, dreamt_views), ("recorded", recorded, recorded_views)):
        shares: dict[str, list[Any]] = {"shown": [], "empty": [], "vehicles": []}
        for i in range(len(steps)):
            some_frames, some_views = frames[known[:, i], i], seen[known[:, i], i]
            found = places(some_views, bev, camera, seed)
            named = _named(eye, some_frames, found)
            shares["shown"].append(_share(named[found.there]))
            shares["empty"].append(_share(~named[~found.there]))
            shares["vehicles"].append(int(found.there.sum()))
        values[label] = shares
        rows.append((label, "vehicles of bev that front shows", *(number(100 * x, 1) for x in shares["shown"])))
        rows.append((label, "empty road of bev where front shows none", *(number(100 * x, 1) for x in shares["empty"])))
        rows.append((label, "vehicles of bev [number]", *map(str, shares["vehicles"])))
    return Part(
        name=NAME,
        title=TITLE,
        method=(
            f"Vehicles of the dreamt view from above, {NEAREST:g} to {FARTHEST:g} m ahead and none behind another, are "
            "projected into the dreamt frame of the camera ahead; a small network, trained on recorded frames of every "
            "other episode, looks there whether it shows one, and as often at a place of empty road. The others' "
            "recorded frames are the ceiling."
        ),
        limits=(
            "The network errs as well: compare with the recorded frames. Both views may agree about a vehicle that is "
            "not there, and nothing is said about colours and kinds."
        ),
        tables=(Table("Agreement [%]", ("frames", "share", *(steps_text(s) for s in steps)), tuple(rows)),),
        values={"steps": steps, "lessons": len(lessons.there), **values},
    )


def _named(eye: torch.nn.Module, pictures: np.ndarray, found: Places) -> np.ndarray:
    """(P,) bool: where the reader sees a vehicle."""
    with torch.inference_mode():
        return (eye(looked_at(pictures, found))[:, 0] > 0).numpy()


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
