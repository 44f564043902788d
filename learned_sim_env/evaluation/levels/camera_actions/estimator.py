"""An estimator of the ego's motion from camera frames, trained on recorded clips alone.

What a dreamt clip shows can then be read without asking the model that dreamt it (as ACT-Bench does, arXiv 2412.05337).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.data.store import key_of
from learned_sim_env.files import replacing
from learned_sim_env.measures.frame_features import brightness
from learned_sim_env.settings import check_at_least
from learned_sim_env.version import __version__

# Frames of a clip, one after the other; and what is read from them, the first of `spec.EGO_FIELDS`.
FRAMES = 3
MOTIONS = ("speed", "yaw rate")
# [m/s, rad/s] What they are divided by to be learned.
_SCALE = (5.0, 0.2)
# Rows judged at a time.
_CHUNK = 256


@dataclass(frozen=True)
class EstimatorConfig:
    """clips: that it is trained on, at most. steps, batch_size, peak: of Adam, with a rate that falls to nothing.
    width: channels of the first layer. seed: of weights and batches.
    """

    clips: int = 8000
    steps: int = 1200
    batch_size: int = 32
    peak: float = 2e-3
    width: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, clips=1, steps=1, batch_size=1, width=1)


class MotionEstimator(nn.Module):
    """Speed [m/s] and yaw rate [rad/s], + to the left, at the last frame of a clip.

    A mirrored clip has, by construction, the same speed and the opposite yaw rate.
    """

    def __init__(self, width: int):
        super().__init__()
        channels = (FRAMES, width, 2 * width, 3 * width, 4 * width)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(channels)):
            layers += [nn.Conv2d(before, after, 3 if i else 5, stride=2, padding=1 if i else 2), nn.SiLU()]
        # Where in the picture something moves says what it means.
        pooled = (nn.AdaptiveAvgPool2d((4, 6)), nn.Flatten(), nn.Linear(24 * channels[-1], 64), nn.SiLU())
        self.layers = nn.Sequential(*layers, *pooled, nn.Linear(64, len(MOTIONS)))
        self.register_buffer("scale", torch.tensor(_SCALE), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 2) of clips (B, FRAMES, H, W, 3) uint8."""
        grey = brightness(clips.flatten(0, 1).permute(0, 3, 1, 2).float() / 255)
        grey = grey.view(len(clips), FRAMES, *clips.shape[2:4])
        # How bright it is, and how clear, tells nothing of motion.
        spread, mean = torch.std_mean(grey, (1, 2, 3), keepdim=True)
        grey = (grey - mean) / (spread + 0.02)
        one, other = self.layers(torch.cat([grey, grey.flip(-1)])).chunk(2)
        return torch.stack([one[:, 0] + other[:, 0], one[:, 1] - other[:, 1]], 1) / 2 * self.scale

    @torch.inference_mode()
    def read(self, clips: np.ndarray) -> np.ndarray:
        """(B, 2) float64 of clips (B, FRAMES, H, W, 3) uint8."""
        parts = [self(torch.from_numpy(clips[i : i + _CHUNK])) for i in range(0, len(clips), _CHUNK)]
        return torch.cat(parts).double().numpy() if parts else np.zeros((0, len(MOTIONS)))


def clips_of(frames: np.ndarray) -> np.ndarray:
    """(B, T - FRAMES + 1, FRAMES, H, W, 3): all clips of frames (B, T, H, W, 3)."""
    return np.stack([frames[:, i : frames.shape[1] - FRAMES + 1 + i] for i in range(FRAMES)], 2)


def train_estimator(data: PackedData, camera: str, config: EstimatorConfig) -> MotionEstimator:
    """On clips of a camera, spread evenly over all episodes of `data`; always the same on one machine.

    Raises:
        ValueError: if no episode is as long as a clip.
    """
    last = np.concatenate([np.arange(s + FRAMES - 1, s + n) for s, n in zip(data.starts, data.lengths)])
    if not len(last):
        raise ValueError(f"none of the {len(data)} episodes has {FRAMES} moments")
    last = last[np.linspace(0, len(last) - 1, min(config.clips, len(last))).round().astype(np.int64)]
    rows = last[:, None] + np.arange(1 - FRAMES, 1)
    needed, where = np.unique(rows, return_inverse=True)
    frames, where = torch.from_numpy(data.read(camera, needed)), torch.from_numpy(where.reshape(rows.shape))
    wanted = torch.from_numpy(data.arrays["ego"][last, : len(MOTIONS)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = MotionEstimator(config.width)
    chance = torch.Generator().manual_seed(config.seed)
    optimiser = torch.optim.Adam(model.parameters(), config.peak)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    for _ in tqdm(range(config.steps), desc="estimator", unit="step"):
        some = torch.randint(len(last), (config.batch_size,), generator=chance)
        error = (model(frames[where[some]]) - wanted[some]) / model.scale
        optimiser.zero_grad()
        F.smooth_l1_loss(error, torch.zeros_like(error)).backward()
        optimiser.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def open_estimator(data: PackedData, camera: str, config: EstimatorConfig, folder: Path) -> MotionEstimator:
    """The estimator that `train_estimator` makes, kept in `folder` once it was made."""
    rows = np.concatenate([np.arange(s, s + n) for s, n in zip(data.starts, data.lengths)])
    key = key_of([__version__, camera, asdict(config)], (data.seeds, data.lengths, data.arrays["ego"][rows]))
    path = folder / f"{key}.safetensors"
    if not path.exists():
        model = train_estimator(data, camera, config)
        with replacing(path) as temporary:
            save_file(model.state_dict(), temporary)
        return model
    model = MotionEstimator(config.width)
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(False)
