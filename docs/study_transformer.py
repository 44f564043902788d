"""What parts of the transformer's recipe are worth, and what few labels cost: small runs, and tables of them.

    python docs/study_transformer.py --data runs/camera-rssm/episodes --out runs/study

Needs [train]. All runs have the same tokenizer, trained once; they differ in what their names say, and in nothing else.
The same command goes on where it was stopped, and with all runs there prints the tables again. OUT/recipe.md and
OUT/labels.md have them, OUT/NAME/scores.json the numbers of a run. --studies recipe does one of the two.

Frames are dreamt from five real ones with the true actions and the ego's true motion, on episodes of validation: what
is measured is the dynamics, not the ego's own path. Of the cameras' pixels count those that differ from the last real
frame. "shuffled" is the error of tokens, 15 steps ahead, with actions and motion of other episodes, over that with the
true ones.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from learned_sim_env.data.dataset import PackedData, packed_file
from learned_sim_env.files import write_json, write_text
from learned_sim_env.locks import alone_in
from learned_sim_env.measures.frame_error import changed, frame_ssim, psnr
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.loop.trainer import Trainer
from learned_sim_env.training.transformer.clips import Clips
from learned_sim_env.training.transformer.settings import TransformerSettings
from learned_sim_env.training.transformer.shortcut_loss import ForcingConfig
from learned_sim_env.world_model.transformer.dynamics import Condition
from learned_sim_env.world_model.transformer.ego import numbers
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from learned_sim_env.world_model.transformer.noise import PATTERNS
from learned_sim_env.world_model.transformer.sampler import commit, sample_frame

# Steps ahead at which frames are judged; the last but one is that of "shuffled".
AHEAD = (1, 5, 15, 30)
# The run that others are compared with, which has all actions.
WHOLE = "as it is"
# By study: runs, and what is other in their settings.
STUDIES: dict[str, dict[str, dict[str, Any]]] = {
    "recipe": {
        WHOLE: {},
        "v-prediction": {"prediction": "v"},
        "no ramp": {"forcing": ForcingConfig(ramp=False)},
        "what moves weighs the same": {"forcing": ForcingConfig(moving=0.0)},
        "the frame before as it was": {"moved": False},
    },
    "labels": {WHOLE: {}, **{f"{share:.0%} of the actions": {"labelled": share} for share in (0.2, 0.05, 0.01)}},
}


@dataclass(frozen=True)
class StudyArgs:
    """See the module."""

    data: Path
    """Folder of a collection, or a packed file."""
    out: Path
    """Where to write."""
    studies: tuple[Literal["recipe", "labels"], ...] = ("recipe", "labels")
    """Parts of the recipe (x- and v-prediction, ramp, weights of what moves, K), and shares of labelled episodes."""
    model: str = "transformer-small"
    """Its size."""
    modalities: tuple[str, ...] = ("front", "bev")
    """What is seen and drawn; of cameras, pictures are judged."""
    tokenizer_steps: int = 1500
    """Steps of the tokenizer."""
    steps: int = 1500
    """Steps of the dynamics, of each run."""
    batch_size: int = 16
    """Short clips of such a step."""
    windows: int = 64
    """Windows that are judged."""
    threads: int = 0
    """CPU threads; 0: as PyTorch decides."""


def main(args: StudyArgs) -> None:
    """Train and judge what is not there yet, and write the table."""
    if args.threads:
        torch.set_num_threads(args.threads)
    data = PackedData.load(packed_file(args.data))
    with alone_in(args.out):
        for study in args.studies:
            scores = {name: _scores(args, data, name, changes) for name, changes in STUDIES[study].items()}
            table = _table(scores, every_k=study == "recipe")
            write_text(args.out / f"{study}.md", table)
            print(f"{study}\n\n{table}", flush=True)
        # Tokens of all frames, the same for all runs.
        shutil.rmtree(args.out / "cache", ignore_errors=True)


def _scores(args: StudyArgs, data: PackedData, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """What a run scores; it is trained and judged where that has not been done."""
    folder = args.out / name.replace(" ", "-").replace("%", "")
    path = folder / "scores.json"
    if path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    trainer = _trainer(args, data, folder, changes)
    trainer.objective.cache = args.out / "cache"
    # They take longer than what is judged here.
    trainer.objective.pictures = lambda: None  # type: ignore[method-assign]
    trainer.run()
    model = trainer.model.eval().requires_grad_(False)
    sampler = trainer.objective.validation  # type: ignore[attr-defined]
    scores = judged(model, sampler, args, every_k=not changes)
    write_json(path, scores)
    return scores


def _trainer(args: StudyArgs, data: PackedData, folder: Path, changes: dict[str, Any]) -> Trainer:
    """A run that begins with the study's tokenizer, trained if it is not there."""
    settings = TransformerSettings(modalities=args.modalities, tokenizer_steps=args.tokenizer_steps)
    config = TrainConfig(
        args.model, "driving-camera", steps=args.tokenizer_steps + args.steps, batch_size=args.batch_size
    )
    common = args.out / "tokenizer"
    if not (common / "done").exists():
        first = Trainer(config, data, common, settings, save_every=250)
        _until(first, args.tokenizer_steps)
        (common / "done").touch()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "state.safetensors").exists():
        temporary = folder / ".unfinished"
        shutil.copyfile(common / "state.safetensors", temporary)
        temporary.replace(folder / "state.safetensors")
    return Trainer(config, data, folder, replace(settings, **changes), save_every=250)


def _until(trainer: Trainer, step: int) -> None:
    """Train up to a step that is not the last, and save."""
    batch = trainer.objective.batch

    class Enough(Exception):
        pass

    def some(number: int) -> Any:
        if number >= step:
            raise Enough
        return batch(number)

    trainer.objective.batch = some  # type: ignore[method-assign, assignment]
    try:
        trainer.run()
    except Enough:
        trainer.save()


@torch.inference_mode()
def judged(model: DrivingTransformer, sampler: WindowSampler, args: StudyArgs, every_k: bool) -> dict[str, Any]:
    """Scores of dreams by K and steps ahead, of the last frame copied, and of the tokenizer alone."""
    context, last = model.context_steps, model.context_steps + AHEAD[-1]
    windows = WindowSampler(sampler.data, context, AHEAD[-1], sampler.dt, sampler.names)
    index = np.linspace(0, windows.total - 1, args.windows).astype(np.int64)
    clips = Clips.of(windows.windows(index), model.config.modalities)
    keep = clips.valid.all(1)
    clips = clips.each(lambda x: x[keep])
    if not len(clips.ego):
        raise ValueError(f"no episode of validation has {last} moments: collect longer ones")
    truth = model.tokenizer.encode(clips.observations)
    ks = [1 << k for k in range(model.config.finest.bit_length())] if every_k else [model.config.steps]
    scores: dict[str, Any] = {"windows": len(clips.ego)}
    for steps in ks:
        scores[f"K = {steps}"] = _against(model, clips, dreamt(model, clips, truth, steps), context)
    scores["last frame copied"] = _against(model, clips, None, context)
    scores["tokenizer alone"] = _against(model, clips, truth[:, context:], context)
    other = clips.each(lambda x: x.roll(1, 0))
    shuffled = replace(clips, actions=other.actions, ego=other.ego, motion=other.motion)
    true, wrong = (
        (dreamt(model, given, truth, model.config.steps)[:, : AHEAD[-2]] - truth[:, context : context + AHEAD[-2]])
        .square()
        .mean()
        for given in (clips, shuffled)
    )
    scores["shuffled"] = float(wrong / true)
    return scores


def dreamt(model: DrivingTransformer, clips: Clips, truth: Tensor, steps: int) -> Tensor:
    """Tokens (B, T, count, channels) of the frames after the context, in K = `steps` steps each."""
    network, context, found, c = model.dynamics, model.context_steps, [], model.config
    past = network.empty_past(len(truth))
    chance = torch.Generator().manual_seed(0)
    last = truth[:, 0].half()
    for t in range(truth.shape[1]):
        known = torch.ones_like(clips.valid[:, t])
        given = Condition(clips.actions[:, t], known, numbers(clips.ego[:, t], clips.motion[:, t]), known)
        tokens = network.condition_tokens(given)
        # Before its first frame a clip stood still.
        motion = clips.motion[:, t] if t else torch.zeros_like(clips.motion[:, t])
        moved = model.moved(last, model.tokenizer.drawn(last, model.draws), motion)
        noise, veiled = model.patterns[past.frames % PATTERNS], model.veiled(moved, last, past)
        z = truth[:, t]
        if t >= context:
            start = c.noise * torch.randn(z.shape, generator=chance)
            z = sample_frame(network, start, veiled, tokens, past, steps)
            found.append(z)
        _, past = commit(network, z, noise, veiled, tokens, past)
        last = z.half()
    return torch.stack(found, 1)


def _against(model: DrivingTransformer, clips: Clips, tokens: Tensor | None, context: int) -> dict[str, list[float]]:
    """PSNR [dB] and SSIM of changed pixels of the cameras at `AHEAD`; of the last real frame without tokens."""
    cameras = [name for name in model.draws if model.contract.modality(name).camera is not None]
    found: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for ahead in AHEAD:
        rows: dict[str, list[np.ndarray]] = {"psnr": [], "ssim": []}
        drawn = {} if tokens is None else model.tokenizer.drawn(tokens[:, ahead - 1], cameras)
        for name in cameras:
            frames = clips.observations[name].numpy()
            before, true = frames[:, context - 1], frames[:, context + ahead - 1]
            shown = drawn[name].numpy() if drawn else before
            where = changed(true, before)
            rows["psnr"].append(psnr(shown, true, where))
            rows["ssim"].append(frame_ssim(shown, true, where))
        for name, values in rows.items():
            found[name].append(float(np.nanmean(np.stack(values))))
    return found


def _table(scores: dict[str, Any], every_k: bool) -> str:
    """Markdown; of `WHOLE` with all K, or with that of the others."""
    ahead = " / ".join(map(str, AHEAD))
    head = f"| run | PSNR of what changed [dB] at {ahead} steps | SSIM | kept at {AHEAD[2]} | shuffled |\n"
    rows, best = [], None
    for name, found in scores.items():
        kinds = [kind for kind in found if kind.startswith("K = ") and (every_k or kind == "K = 4")]
        if name == WHOLE:
            kinds += ["last frame copied", "tokenizer alone"]
            best = found["K = 4"]
        for kind in kinds:
            values = found[kind]
            assert best is not None
            kept = ", ".join(f"{values[m][2] / best[m][2]:.0%}" for m in ("psnr", "ssim"))
            columns = (" / ".join(format(v, form) for v in values[m]) for m, form in (("psnr", ".1f"), ("ssim", ".2f")))
            said = f"{found['shuffled']:.2f}" if kind == "K = 4" else ""
            label = kind if kind[0] != "K" else f"{name}, {kind}"
            rows.append(f"| {label} | {' | '.join(columns)} | {kept} | {said} |")
    return head + "|---|---|---|---|---|\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    main(tyro.cli(StudyArgs, description=__doc__))
