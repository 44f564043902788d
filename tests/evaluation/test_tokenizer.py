"""The tokenizer by itself: what codes of a known coder lose, and the levels of cameras on a tiny transformer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.evaluation.ladder import find_level
from learned_sim_env.evaluation.levels.cameras.frames_part import CamerasConfig, measure_cameras
from learned_sim_env.evaluation.levels.tokenizer.coded_frames import BEFORE, BITS, KEPT, METHODS, quantised
from learned_sim_env.evaluation.levels.tokenizer.tokenizer_part import TokenizerConfig, measure_tokenizer
from learned_sim_env.measures.iou import class_iou, confusion
from learned_sim_env.reporting.html import write_html
from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.world_model.protocol import FrameCoder
from tests.data.recordings import CAMERAS, recording
from tests.tiny_transformer import tiny
from tests.toy_model import ToyCameraModel, toy_camera_checkpoint

CONTRACT = CONTRACTS["driving-camera"]
SEEN = (*CAMERAS, "route", "bev", "ego")


class Bright(ToyCameraModel):
    """Codes a frame in the front camera's brightness and the view's class in one corner, and draws these everywhere."""

    contract, context_steps = CONTRACT, 2
    observes, draws = ("front", "bev", "ego"), ("front", "bev")
    code_sizes = {"front": 1, "bev": 1}

    def code(self, observations):
        front, bev = (observations[name][:, :, 0, 0].float() for name in ("front", "bev"))
        return torch.stack([front[..., 0] / 127.5 - 1, bev / 4 - 1], -1)

    def drawn_from(self, code, names):
        levels = ((code[:, 0] + 1) * 127.5).round().to(torch.uint8)
        classes = ((code[:, 1] + 1) * 4).round().to(torch.uint8)
        return {
            "front": levels[:, None, None, None].repeat(1, 64, 96, 3),
            "bev": classes[:, None, None].repeat(1, 64, 64),
        }


def filmed() -> PackedData:
    """Two episodes, in which all pixels of a frame are of one brightness, 5 levels more each step, and one class."""
    episodes = [recording(seed, 24, modalities=("front", "bev", "ego")) for seed in (9, 19)]
    for one in episodes:
        steps = np.arange(25, dtype=np.uint8)
        one.observations["front"][:] = 5 * steps[:, None, None, None]
        one.observations["bev"][:] = (SemanticClass.ROAD + steps % 2)[:, None, None]
    return PackedData.of(episodes, CONTRACT.fingerprints(("front", "bev", "ego")))


def test_what_codes_lose_is_measured(tmp_path) -> None:
    model = Bright()
    assert isinstance(model, FrameCoder)
    checkpoint = SimpleNamespace(name="bright", model=model, contract=CONTRACT)
    part = measure_tokenizer(checkpoint, filmed(), TokenizerConfig(stride=5, batch_size=3, replicates=20))
    psnr = dict(zip(METHODS, part.values["scores"]["front"]["psnr"]["value"]))
    # Kept without loss; five levels from the frame before; the fewer bits, the worse.
    assert psnr[KEPT] == 60 and psnr[BEFORE] == pytest.approx(20 * np.log10(51))
    coarse = [psnr[f"{bits} bits a number"] for bits in BITS]
    levels = 5 * np.array([1, 6, 11, 16, 21])
    middles = ((levels * 8 // 255 + 0.5) / 8 * 255).round()
    # Of one that is hit, 60 dB at most.
    worst = np.minimum(20 * np.log10(255 / np.maximum(np.abs(middles - levels), 1e-3)), 60).mean()
    assert (np.diff(coarse) < 0).all() and coarse[-1] == pytest.approx(worst)
    iou = dict(zip(METHODS, part.values["mean_iou"]["bev"]["value"]))
    # Each frame is of the other class than the frame before.
    assert iou[KEPT] == 1 and iou[BEFORE] == 0
    assert part.values["numbers"] == {"front": 1, "bev": 1} and part.values["frames"] == 10
    frame = 8 * (64 * 96 * 3 + 64 * 64)
    assert part.values["bits"] == [frame, 32, *(2 * bits for bits in BITS)]
    assert part.values["deflated_bits"]["value"][0] < frame / 50
    assert [target.verdict for target in part.targets] == ["met", "met"]
    assert {picture.shape[0] for picture in part.pictures.values()} == {3 * 66}
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    write_html(tmp_path / "ladder.html", "Ladder", {}, [part])


def test_numbers_of_few_bits_are_the_middles_of_equal_parts() -> None:
    values, levels = quantised(torch.tensor([-1.0, -0.3, 0.0, 0.9999, 1.0]), 2)
    assert values.tolist() == [-0.75, -0.25, 0.25, 0.75, 0.75] and levels.tolist() == [0, 1, 2, 3, 3]
    x = torch.rand(1000) * 2 - 1
    assert (quantised(x, 6)[0] - x).abs().max() <= 2**-6 + 1e-6


def test_classes_are_judged_one_by_one() -> None:
    truth = np.full((1, 1, 4, 4), SemanticClass.ROAD, np.uint8)
    truth[..., :2, :] = SemanticClass.SOLID_LINE
    found = truth.copy()
    found[..., 0, :] = SemanticClass.BROKEN_LINE
    counts = confusion(found, truth, np.ones((1, 1), bool))
    classes = [SemanticClass.ROAD, SemanticClass.SOLID_LINE, SemanticClass.BROKEN_LINE, SemanticClass.VEHICLE]
    np.testing.assert_equal(class_iou(np.ones((1, 1)), counts, classes)[0, 0], [1.0, 0.5, 0.0, np.nan])


def test_models_without_codes_are_told_so() -> None:
    reason = find_level("tokenizer").reason_not_applicable(toy_camera_checkpoint())
    assert reason == "ToyCameraModel codes no frames by themselves"


@pytest.mark.slow
def test_a_transformer_is_measured_with_its_tokenizer_apart() -> None:
    checkpoint = SimpleNamespace(name="tiny", model=tiny(), contract=CONTRACT)
    assert find_level("tokenizer").reason_not_applicable(checkpoint) is None
    data = PackedData.of([recording(seed, 14, modalities=SEEN) for seed in (9, 19)], CONTRACT.fingerprints(SEEN))
    part = measure_tokenizer(checkpoint, data, TokenizerConfig(stride=8, replicates=5))
    assert list(part.values["scores"]) == [*CAMERAS, "route"] and sum(part.values["numbers"].values()) == 32 * 89
    # As good as what the model draws of a moment that it has just seen: nothing else is drawn from.
    model = checkpoint.model
    seen = {name: torch.from_numpy(np.array(data.read(name, slice(0, 5)))) for name in model.observes}
    state = model.initial(1)
    for t in range(5):
        state = model.observe(state, torch.zeros(1, 2), {name: value[t : t + 1] for name, value in seen.items()})
    code = model.code({name: seen[name][None] for name in model.code_sizes})
    drawn, _ = model.draw(state, ("front", "bev"))
    for name, value in model.drawn_from(code[:, -1], ("front", "bev")).items():
        assert (value.float() - drawn[name].float()).abs().mean() < 0.5, name
    frames, *_ = measure_cameras(checkpoint, data, CamerasConfig(horizon=5, stride=8, replicates=5))
    assert set(frames.values["scores"]) == set(CAMERAS)
