"""A moving square: tokenizer and dynamics learn it within seconds, and the dream obeys actions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from learned_sim_env.spec import CONTRACTS, Modality
from learned_sim_env.spec.modality import EGO
from learned_sim_env.training.transformer.shortcut_loss import ForcingConfig, drawn_noise, shortcut_loss
from learned_sim_env.training.transformer.tokenizer_loss import tokenizer_loss
from learned_sim_env.world_model.transformer.config import TransformerConfig
from learned_sim_env.world_model.transformer.dynamics import Condition
from learned_sim_env.world_model.transformer.model import DrivingTransformer, last_of_clips
from learned_sim_env.world_model.transformer.sampler import commit, mixed, sample_frame

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

# A strip of four cells, in one of which there is a square.
HEIGHT, WIDTH, SQUARE, FRAMES, BATCH, STEPS = 16, 64, 16, 8, 16, 200
CONFIG = TransformerConfig(
    modalities=("camera",),
    widths=(32, 32),
    decoder_blocks=(1, 1),
    channels=32,
    tokenizer_width=32,
    tokenizer_heads=2,
    tokenizer_kv_heads=1,
    encoder_depth=1,
    decoder_depth=1,
    encoder_window=2,
    width=64,
    heads=2,
    kv_heads=1,
    depth=4,
    time_every=2,
    registers=1,
    window=FRAMES,
    head_hidden=32,
    ahead=1,
    finest=4,
    steps=2,
    context_signal=0.75,
)


def videos(clips: int, seed: int) -> tuple[Tensor, Tensor]:
    """Clips (clips, FRAMES, HEIGHT, WIDTH, 3) uint8 of a square on grey that moves on by a cell a frame, round and
    round, and is red or blue as the action (clips, FRAMES, 2) says, 1 or -1.
    """
    rng = np.random.default_rng(seed)
    steer = rng.choice([-1, 1], (clips, FRAMES))
    cell = (rng.integers(0, WIDTH // SQUARE, (clips, 1)) + np.arange(FRAMES)) % (WIDTH // SQUARE)
    there = (np.arange(WIDTH) // SQUARE == cell[..., None])[:, :, None, :, None].repeat(HEIGHT, 2)
    colour = np.where((steer > 0)[..., None], [230, 40, 40], [40, 40, 230])[:, :, None, None]
    actions = np.stack([steer, np.zeros_like(steer)], -1).astype(np.float32)
    return torch.from_numpy(np.where(there, colour, 90).astype(np.uint8)), torch.from_numpy(actions)


@pytest.mark.slow
def test_loss_falls_and_the_dream_obeys() -> None:
    camera = Modality("camera", "rgb", (HEIGHT, WIDTH, 3))
    contract = replace(CONTRACTS["driving"], modalities=(camera, EGO), observation=("camera", "ego"))
    torch.manual_seed(0)
    model = DrivingTransformer(CONFIG, contract)
    pictures, actions = videos(256, 0)
    every = torch.ones(BATCH, FRAMES, dtype=torch.bool)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        rows = np.random.default_rng(step).choice(len(pictures), BATCH, replace=False)
        return pictures[rows], actions[rows]

    seen = []
    optimizer = torch.optim.AdamW(model.tokenizer.parameters(), 2e-3)
    for step in range(150):
        total, parts = tokenizer_loss(model.tokenizer, {"camera": batch(step)[0]}, every)
        seen.append(float(parts["camera"]))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert np.mean(seen[-20:]) < 0.2 * np.mean(seen[:5])

    def given(action: Tensor) -> Condition:
        known = torch.ones(action.shape[:-1], dtype=torch.bool)
        return Condition(action, known, torch.zeros(*action.shape[:-1], 7), ~known)

    losses = []
    optimizer = torch.optim.AdamW(model.dynamics.parameters(), 3e-3)
    for step in range(STEPS):
        some, action = batch(step)
        with torch.no_grad():
            clean = model.tokenizer.encode({"camera": some})
            moved = model.moved_clips(clean, torch.zeros(BATCH, FRAMES, 3))
            before = torch.cat([moved, last_of_clips(clean)], -1).float()
        noise = drawn_noise((BATCH, FRAMES), CONFIG, ForcingConfig(coarse=0.25), clean.device)
        loss, _ = shortcut_loss(model.dynamics, clean, before, given(action), every, noise, ramp=False)
        losses.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 20) * (1 - step / STEPS)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.dynamics.parameters(), 1.0)
        optimizer.step()
    assert np.mean(losses[-20:]) < 0.3 * np.mean(losses[:5])

    # Of clips that training has not seen: four frames are real, four dreamt, with the true actions and with others.
    model.eval().requires_grad_(False)
    pictures, actions = videos(32, 1)
    errors = {
        "dream": error(model, pictures, actions, actions),
        "other actions": error(model, pictures, actions, -actions),
        "copied": (pictures[:, 4:].float() - pictures[:, 3:4].float()).abs().mean().item(),
    }
    assert errors["dream"] < 0.5 * errors["copied"] and errors["dream"] < 0.5 * errors["other actions"]


@torch.no_grad()
def error(model: DrivingTransformer, pictures: Tensor, tried: Tensor, others: Tensor) -> float:
    """Mean absolute error of dreamt pictures, of 255."""
    network, rows = model.dynamics, len(pictures)
    clean, actions = model.tokenizer.encode({"camera": pictures[:, :4]}), torch.cat([tried[:, :4], others[:, 4:]], 1)
    past, errors, last, c = network.empty_past(rows), [], clean[:, 0], model.config
    torch.manual_seed(0)
    for t in range(FRAMES):
        known = torch.ones(rows, dtype=torch.bool)
        condition = network.condition_tokens(Condition(actions[:, t], known, torch.zeros(rows, 7), ~known))
        moved = model.moved_clips(torch.stack([last, last], 1), torch.zeros(rows, 2, 3))[:, 1]
        before = torch.cat([moved, last], -1)
        veiled = mixed(before, c.noise * torch.randn_like(before), c.context_share)
        if t < 4:
            z = clean[:, t]
        else:
            z = sample_frame(network, c.noise * torch.randn_like(last), veiled, condition, past, c.steps)
            picture = model.tokenizer.drawn(z, ("camera",))["camera"]
            errors.append((picture.float() - pictures[:, t].float()).abs().mean().item())
        _, past = commit(network, z, c.noise * torch.randn_like(z), veiled, condition, past)
        last = z
    return float(np.mean(errors))
