"""What is lost where frames become tokens, as a part of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.tokenizer.coded_frames import (
    BITS,
    KEPT,
    KEPT_BITS,
    METHODS,
    CodedFrames,
    code_frames,
    raw_bits,
)
from learned_sim_env.evaluation.open_loop import episodes_for, join, window_reader
from learned_sim_env.evaluation.windows import regular_windows
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate, mean_of_known, resample
from learned_sim_env.measures.iou import class_iou
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.reporting.display import at, plain, text
from learned_sim_env.reporting.parts import Part, Table, Target, not_applicable
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import FrameCoder

NAME, TITLE = "tokenizer", "L1: the tokenizer by itself"
# What is asked of frames as they are kept: PSNR of every camera [dB], or mean IoU of the view from above.
LEAST_PSNR, LEAST_IOU = 32.0, 0.95
# By measure: label, digits.
_LABELS = {"psnr": ("PSNR [dB]", 2), "ssim": ("SSIM", 3), "error": ("mean absolute error", 3)}
# Frames that are shown.
_SHOWN = 8


@dataclass(frozen=True)
class TokenizerConfig:
    """stride: steps between frames of an episode. batch_size: frames at a time. replicates, seed: of the bootstrap."""

    stride: int = 20
    batch_size: int = 16
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, stride=1, batch_size=1, replicates=1)


def measure_tokenizer(checkpoint: Checkpoint, data: PackedData, config: TokenizerConfig) -> Part:
    """Code recorded frames, draw them again and compare.

    Raises:
        ValueError: if the data was recorded under another contract.
    """
    model, contract = cast(FrameCoder, checkpoint.model), checkpoint.contract
    data = episodes_for(checkpoint, data)
    windows = regular_windows(data, config.stride, max(model.context_steps, 2))
    if not len(windows):
        return not_applicable(NAME, TITLE, f"none of the {len(data)} episodes is long enough")
    reader = window_reader([model], data, 1)
    parts, pictures = [], dict[str, np.ndarray]()
    with tqdm(total=len(windows), desc=NAME, unit="frame") as bar:
        for part, shown in code_frames(model, reader, windows, config.batch_size):
            parts.append(part)
            # Of the first frames, which may be fewer than a strip shows.
            pictures = pictures or {name: _strip(frames[:_SHOWN]) for name, frames in shown.items()}
            bar.update(len(part.episode))
    weights = resample(join(parts).episode, len(data), config.replicates, config.seed)
    raw = sum(raw_bits(contract.modality(name)) for name in model.code_sizes)
    return tokenizer_part(join(parts), weights, model.code_sizes, raw, pictures)


def tokenizer_part(
    found: CodedFrames, weights: np.ndarray, sizes: dict[str, int], raw: int, pictures: dict[str, np.ndarray]
) -> Part:
    """weights: (R, N), see `bootstrap.resample`. sizes: numbers of the code, by modality. raw: bits of a frame as it
    stands in memory. pictures: by modality.
    """
    every = np.ones(found.deflated.shape, bool)
    scores = {
        name: {key: Estimate.of(ego.mean_at(weights, values, every)) for key, values in measures.items()}
        for name, measures in found.scores.items()
    }
    classes = [c for c in SemanticClass if c != SemanticClass.EGO]
    ious = {name: class_iou(weights, counts, classes) for name, counts in found.confusions.items()}
    means = {name: Estimate.of(mean_of_known(values, -1)) for name, values in ious.items()}
    each = {name: Estimate.of(values) for name, values in ious.items()}
    numbers = sum(sizes.values())
    deflated = Estimate.of(ego.mean_at(weights, found.deflated, every))
    bits = (raw, numbers * KEPT_BITS, *(numbers * b for b in BITS))
    sizes_told = ", ".join(f"{name} {count:,}" for name, count in sizes.items())
    return Part(
        name=NAME,
        title=TITLE,
        method=(
            f"{len(found.episode)} recorded frames are coded, each with the few before it that the tokenizer looks "
            f"back to, and drawn again from their codes alone; nothing is imagined. A code has {numbers:,} numbers "
            f"between -1 and 1 ({sizes_told}), of {KEPT_BITS} bits each as the model keeps them; what coarser numbers "
            "would lose is shown as well: each is then the middle of the equal part that it lies in. PSNR, SSIM and "
            "errors are means over frames, of all pixels; of vectors the error is in their own units. IoU is of pixels "
            "of all frames together, but for the ego's, and its mean is over classes that occur. Deflate compresses "
            "each frame, and each code, by itself and as it stands in memory. Beside it the frame a step before: what "
            "a step of the clock changes. Intervals are 95% of replicates that resample whole episodes."
        ),
        limits=(
            "It is the ceiling of what the model can draw, and says nothing of what it imagines. A mean over pixels "
            "weighs sky and road, which are most of a picture; small things may be missing from a frame of high PSNR. "
            "The bits are those of plain numbers: a code made for few bits would need less."
        ),
        tables=(*_quality_tables(scores, means, each, classes), _rate_table(numbers, bits, deflated)),
        values={
            "frames": len(found.episode),
            "methods": list(METHODS),
            "numbers": sizes,
            "bits": list(bits),
            "deflated_bits": plain(deflated),
            "scores": plain(scores),
            "mean_iou": plain(means),
            "classes": [c.name.lower() for c in classes],
            "iou": plain(each),
        },
        pictures={
            f"{name}: frames above, drawn from their codes below, as they are kept and with {BITS[-1]} bits": picture
            for name, picture in pictures.items()
        },
        targets=tuple(_targets(scores, means)),
    )


def _quality_tables(
    scores: dict[str, dict[str, Estimate]],
    means: dict[str, Estimate],
    each: dict[str, Estimate],
    classes: Sequence[SemanticClass],
) -> Iterator[Table]:
    """Scores and mean IoU by modality; and IoU by class, of classes that occur."""
    methods = range(len(METHODS))
    rows = [
        (name, _LABELS[key][0], *(text(at(e, i), _LABELS[key][1]) for i in methods))
        for name, measures in scores.items()
        for key, e in measures.items()
    ]
    rows += [(name, "mean IoU", *(text(at(e, i), 3) for i in methods)) for name, e in means.items()]
    yield Table("Frames, coded and drawn again", ("modality", "measure", *METHODS), tuple(rows))
    by_class = [
        (f"{name}: {c.name.lower().replace('_', ' ')}", *(text(at(e, (i, k)), 3) for i in methods))
        for name, e in each.items()
        for k, c in enumerate(classes)
        if np.isfinite(e.value[:, k]).any()
    ]
    if by_class:
        yield Table("IoU by class", ("class", *METHODS), tuple(by_class))


def _rate_table(numbers: int, bits: Sequence[int], deflated: Estimate) -> Table:
    """What a frame is, in numbers and bits; the first of `bits` are those of the frame itself."""
    rows = (
        ("numbers", "", *(str(numbers) for _ in METHODS[1:])),
        ("bits", *(f"{b:,}" for b in bits)),
        ("bits, deflated", *(text(at(deflated, i), 0) for i in range(len(METHODS)))),
        ("share of the frame's bits", *(f"{b / bits[0]:.3f}" for b in bits)),
    )
    return Table("Rate: what a frame is", ("", "the frame itself", *METHODS[1:]), rows)


def _targets(scores: dict[str, dict[str, Estimate]], means: dict[str, Estimate]) -> Iterator[Target]:
    kept = METHODS.index(KEPT)
    for name, measures in scores.items():
        if "psnr" in measures:
            value = float(measures["psnr"].value[kept])
            yield Target.least(f"PSNR, {name}, tokenizer alone", LEAST_PSNR, value, unit="dB")
    for name, e in means.items():
        yield Target.least(f"mean IoU, {name}, tokenizer alone", LEAST_IOU, float(e.value[kept]), 3)


def _strip(frames: np.ndarray) -> np.ndarray:
    """Frames (n, 3, H, W[, 3]) side by side, the three of each below each other, in colour."""
    frames = frames if frames.ndim == 5 else colourise(frames)
    framed = np.pad(frames, ((0, 0), (0, 0), (0, 2), (0, 2), (0, 0)))
    return np.concatenate([np.concatenate(list(column), 0) for column in framed], 1)
