"""Recorded frames coded and drawn again, reduced at once to how far they are from what they were."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.frame_error import frame_ssim, psnr
from learned_sim_env.measures.iou import confusion
from learned_sim_env.spec import Modality
from learned_sim_env.world_model.protocol import FrameCoder, device_of

# The code as the model keeps it, of which a number has 16 bits; and in numbers of fewer bits.
KEPT, KEPT_BITS, BITS = "as it is kept", 16, (8, 6, 4, 3)
# Beside it: the frame before, a step of the clock old.
BEFORE = "frame before"
METHODS = (BEFORE, KEPT, *(f"{bits} bits a number" for bits in BITS))


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """N frames by the M `METHODS`.

    episode: (N,) int64. scores: by modality and measure, (N, M) float64: "psnr" [dB] and "ssim" of cameras, the mean
    absolute "error" of vectors. confusions: by modality of classes,
    (N, M, 9, 9) int32, see `measures.iou.confusion`. deflated: (N, M) float64 [bits], what deflate makes of the code,
    and of the frame itself in the place of `BEFORE`.
    """

    episode: np.ndarray
    scores: dict[str, dict[str, np.ndarray]]
    confusions: dict[str, np.ndarray]
    deflated: np.ndarray


def code_frames(
    model: FrameCoder, reader: WindowReader, windows: Windows, batch_size: int
) -> Iterator[tuple[CodedFrames, dict[str, np.ndarray]]]:
    """The last frame of each window's context, which is coded with those before it, `batch_size` at a time.

    Yields:
        What was measured, and by modality that is a picture (B, 3, *shape) uint8: frames, and what is drawn from their
        codes as they are kept and from the coarsest.
    """
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        batch = reader.read(some)
        past = {name: batch.observations[name][:, : batch.context] for name in model.code_sizes}
        yield compare_coded(model, past, some.episode)


@torch.inference_mode()
def compare_coded(
    model: FrameCoder, past: Mapping[str, Tensor], episode: np.ndarray
) -> tuple[CodedFrames, dict[str, np.ndarray]]:
    """Of the last of successive frames, by modality (B, T, *shape), of episodes `episode` (B,) int64."""
    names, device = tuple(model.code_sizes), device_of(model)
    code = model.code({name: past[name].to(device) for name in names})[:, -1]
    truth = {name: past[name][:, -1].numpy() for name in names}
    coarse = [quantised(code, bits) for bits in BITS]
    drawn = [{name: past[name][:, -2].numpy() for name in names}]
    for numbers in (code, *(values for values, _ in coarse)):
        drawn.append({name: value.cpu().numpy() for name, value in model.drawn_from(numbers, names).items()})
    scores: dict[str, dict[str, np.ndarray]] = {}
    confusions, shown = {}, {}
    for modality in (model.contract.modality(name) for name in names):
        true, found = truth[modality.name], [frames[modality.name] for frames in drawn]
        if modality.kind == "classes":
            counts = [confusion(one[:, None], true[:, None], np.ones((len(true), 1), bool))[:, 0] for one in found]
            confusions[modality.name] = np.stack(counts, 1)
        else:
            scores[modality.name] = _scores(modality, found, true)
        if modality.kind != "vector":
            shown[modality.name] = np.stack([true, found[METHODS.index(KEPT)], found[-1]], 1)
    frames = _deflated([b"".join(truth[name][i].tobytes() for name in names) for i in range(len(code))])
    kept = _deflated([row.tobytes() for row in code.half().cpu().numpy()])
    fewer = [_deflated([row.tobytes() for row in levels.cpu().numpy()]) for _, levels in coarse]
    return CodedFrames(episode, scores, confusions, np.stack([frames, kept, *fewer], 1)), shown


def quantised(code: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Numbers in [-1, 1] as the middles of the 2 ** `bits` equal parts that they lie in, and which these are, uint8."""
    count = 2**bits
    level = ((code + 1) / 2 * count).floor().clamp(0, count - 1)
    return (level + 0.5) / count * 2 - 1, level.to(torch.uint8)


def raw_bits(modality: Modality) -> int:
    """Of an observation as it stands in memory."""
    return 8 * modality.dtype.itemsize * int(np.prod(modality.shape))


def _scores(modality: Modality, found: list[np.ndarray], true: np.ndarray) -> dict[str, np.ndarray]:
    """(B, M) by measure."""
    if modality.kind == "vector":
        flat = [np.abs(one - true).reshape(len(true), -1).mean(1).astype(np.float64) for one in found]
        return {"error": np.stack(flat, 1)}
    return {
        "psnr": np.stack([psnr(one, true) for one in found], 1),
        "ssim": np.stack([frame_ssim(one, true) for one in found], 1),
    }


def _deflated(parts: list[bytes]) -> np.ndarray:
    """(B,) float64 bits of each by itself."""
    return np.array([8.0 * len(zlib.compress(part, 9)) for part in parts])
