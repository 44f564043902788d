"""An estimator of the ego's motion from camera frames, trained on recorded clips alone.

What a dreamt clip shows can then be read without asking the model that dreamt it (as ACT-Bench does, arXiv 2412.05337).
How well each of many motions over the ground explains a clip is computed, as direct visual odometry does (Engel et al.,
"Direct sparse odometry", arXiv 1607.02565); a small network learns to read the motion from that. So few clips suffice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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
from learned_sim_env.spec import CameraSpec
from learned_sim_env.version import __version__
from learned_sim_env.world_model.ground_plane import GroundPlane

# By camera, (B, FRAMES, H, W, 3) uint8 of B clips.
Clips = Mapping[str, np.ndarray]
# Frames of a clip, one after the other; and what is read from them, the first of `spec.EGO_FIELDS`.
FRAMES = 3
MOTIONS = ("speed", "yaw rate")
# [m/s, rad/s] Motions that are tried, every speed with every yaw rate; and what both are divided by to be learned.
SPEEDS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 14.0, 17.0, 20.0)
_LEFT = (0.05, 0.1, 0.18, 0.3, 0.45, 0.7, 1.0)
YAW_RATES = (*(-rate for rate in reversed(_LEFT)), 0.0, *_LEFT)
_SCALE = (5.0, 0.2)
# Steps between the two frames that are compared.
_LAGS = (1, 2)
# Frames are halved so many times: a speckle of asphalt is no place.
_HALVED = 2
# [m] Ground nearer than this, on which little stands, is also judged by itself.
_NEAR = 25.0
# How fast an explanation counts less with what it leaves unexplained, as a share of the mean.
_SHARPNESS = 6.0


@dataclass(frozen=True)
class EstimatorConfig:
    """clips: that it is trained on, at most. steps, batch_size, peak: of Adam, with a rate that falls to nothing.
    hidden: width of the network. seed: of weights and batches.
    """

    clips: int = 3000
    steps: int = 2000
    batch_size: int = 128
    peak: float = 3e-3
    hidden: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, clips=1, steps=1, batch_size=1, hidden=1)


class Explanations(nn.Module):
    """How well motions over the ground explain clips of one camera."""

    places: Tensor
    weights: Tensor

    def __init__(self, camera: CameraSpec, dt: float):
        super().__init__()
        coarse = replace(camera, height=camera.height // _HALVED, width=camera.width // _HALVED)
        speed, rate = (v.ravel() for v in np.meshgrid(SPEEDS, YAW_RATES, indexing="ij"))
        poses = []
        for lag in _LAGS:
            turned, driven = rate * dt * lag, speed * dt * lag
            poses.append(np.stack([driven * np.cos(turned / 2), driven * np.sin(turned / 2), turned], -1))
        places, held = (x[:, :, 0] for x in GroundPlane([coarse]).places_before(torch.from_numpy(np.stack(poses))))
        self.register_buffer("places", places, persistent=False)
        near = torch.from_numpy(_ground_distance(coarse) < _NEAR)
        weights = torch.stack([held, held & near], 2).float()
        weights = weights / weights.sum((-1, -2), keepdim=True).clamp_min(1)
        self.register_buffer("weights", weights, persistent=False)

    @torch.no_grad()
    def forward(self, clips: np.ndarray) -> Tensor:
        """Of clips (B, FRAMES, H, W, 3) uint8, by all of their pixels and the near ground alone, over every lag:
        (B, 2 * lags, speeds, yaw rates) float32 from 0 to 1.
        """
        found = []
        for clip in torch.from_numpy(clips):
            grey = F.avg_pool2d(brightness(clip.permute(0, 3, 1, 2).float() / 255), _HALVED)
            # How bright it is, and how clear, tells nothing of motion.
            spread, mean = torch.std_mean(grey)
            grey = (grey - mean) / (spread + 0.02)
            for i, lag in enumerate(_LAGS):
                before = grey[FRAMES - 1 - lag].expand(len(self.places[i]), 1, -1, -1)
                moved = F.grid_sample(before, self.places[i], padding_mode="border", align_corners=False)[:, 0]
                apart = torch.einsum("chw,cahw->ac", (moved - grey[FRAMES - 1, 0]).abs(), self.weights[i])
                least, mean = apart.amin(1, keepdim=True), apart.mean(1, keepdim=True)
                found.append((-_SHARPNESS * (apart - least) / (mean + 1e-6)).exp())
        return torch.cat(found).view(len(clips), -1, len(SPEEDS), len(YAW_RATES))


class MotionEstimator(nn.Module):
    """Speed [m/s] and yaw rate [rad/s], + to the left, at the last frame of clips of several cameras.

    Mirrored clips have, by construction, the same speed and the opposite yaw rate.
    """

    scale: Tensor

    def __init__(self, cameras: Mapping[str, CameraSpec], dt: float, hidden: int):
        """`cameras`: by name, each with its mirror image among them, see `mirrored`."""
        super().__init__()
        self.names = tuple(cameras)
        images = mirrored(cameras)
        # Which of `names` is the mirror image of each.
        self._images = [self.names.index(images[name]) for name in self.names]
        self.explanations = nn.ModuleList([Explanations(camera, dt) for camera in cameras.values()])
        self.register_buffer("scale", torch.tensor(_SCALE), persistent=False)
        size = len(cameras) * 2 * len(_LAGS) * len(SPEEDS) * len(YAW_RATES)
        self.layers = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, len(MOTIONS)))

    def explained(self, clips: Clips) -> Tensor:
        """How well motions explain what each camera shows, (B, cameras, 2 * lags, speeds, yaw rates), see
        `Explanations`.
        """
        return torch.stack([of(clips[name]) for name, of in zip(self.names, self.explanations)], 1)

    def forward(self, explained: Tensor) -> Tensor:
        """(B, 2) of what `explained` gives."""
        other = explained[:, self._images].flip(-1)
        one, other = (self.layers(values.flatten(1)) for values in (explained, other))
        return torch.stack([one[:, 0] + other[:, 0], one[:, 1] - other[:, 1]], 1) / 2 * self.scale

    @torch.no_grad()
    def read(self, clips: Clips) -> np.ndarray:
        """(B, 2) float64."""
        return self(self.explained(clips)).double().numpy() if len(clips[self.names[0]]) else np.zeros((0, 2))


def mirrored(cameras: Mapping[str, CameraSpec]) -> dict[str, str]:
    """Those of some cameras whose mirror image is among them, left for right, and which that is, by name."""
    image = {
        name: replace(c, yaw=-c.yaw, position=(c.position[0], -c.position[1], c.position[2]))
        for name, c in cameras.items()
    }
    pairs = ((name, other) for name in cameras for other in cameras if cameras[other] == image[name])
    return dict(pairs)


def _ground_distance(camera: CameraSpec) -> np.ndarray:
    """(H, W) [m] over the ground to where a pixel's ray meets it, inf above the horizon."""
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(rows, columns)
    down = -rays[..., 2]
    depth = np.where(down > 0, camera.position[2] / np.maximum(down, 1e-9), np.inf)
    distance: np.ndarray = depth * np.linalg.norm(rays[..., :2], axis=-1)
    return distance


def clips_of(frames: np.ndarray) -> np.ndarray:
    """(B, T - FRAMES + 1, FRAMES, H, W, 3): all clips of frames (B, T, H, W, 3)."""
    return np.stack([frames[:, i : frames.shape[1] - FRAMES + 1 + i] for i in range(FRAMES)], 2)


def new_estimator(cameras: Mapping[str, CameraSpec], dt: float, config: EstimatorConfig) -> MotionEstimator:
    """Untrained; its weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return MotionEstimator(cameras, dt, config.hidden)


def train_estimator(
    data: PackedData, cameras: Mapping[str, CameraSpec], dt: float, config: EstimatorConfig
) -> MotionEstimator:
    """On clips spread evenly over all episodes of `data`; always the same on one machine.

    cameras: by the names of their modalities.

    Raises:
        ValueError: if no episode is as long as a clip.
    """
    last = np.concatenate([np.arange(s + FRAMES - 1, s + n) for s, n in zip(data.starts, data.lengths)])
    if not len(last):
        raise ValueError(f"none of the {len(data)} episodes has {FRAMES} moments")
    last = last[np.linspace(0, len(last) - 1, min(config.clips, len(last))).round().astype(np.int64)]
    model = new_estimator(cameras, dt, config)
    parts = []
    for rows in tqdm(np.array_split(last, max(len(last) // 64, 1)), desc="clips", unit="batch"):
        moments = rows[:, None] + np.arange(1 - FRAMES, 1)
        parts.append(model.explained({name: data.read(name, moments) for name in cameras}))
    explained, wanted = torch.cat(parts), torch.from_numpy(data.arrays["ego"][last, : len(MOTIONS)])
    chance = torch.Generator().manual_seed(config.seed)
    optimiser = torch.optim.Adam(model.parameters(), config.peak)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    for _ in range(config.steps):
        some = torch.randint(len(last), (config.batch_size,), generator=chance)
        error = (model(explained[some]) - wanted[some]) / model.scale
        optimiser.zero_grad()
        F.smooth_l1_loss(error, torch.zeros_like(error)).backward()
        optimiser.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def open_estimator(
    data: PackedData, cameras: Mapping[str, CameraSpec], dt: float, config: EstimatorConfig, folder: Path
) -> MotionEstimator:
    """The estimator that `train_estimator` makes, kept in `folder` once it was made."""
    rows = np.concatenate([np.arange(s, s + n) for s, n in zip(data.starts, data.lengths)])
    about = [__version__, {name: asdict(camera) for name, camera in cameras.items()}, dt, asdict(config)]
    path = folder / f"{key_of(about, (data.seeds, data.lengths, data.arrays['ego'][rows]))}.safetensors"
    if not path.exists():
        model = train_estimator(data, cameras, dt, config)
        with replacing(path) as temporary:
            save_file(model.state_dict(), temporary)
        return model
    model = new_estimator(cameras, dt, config)
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(False)
