"""What a world model is trained for: the posterior along a window, then open-loop imagination over its future.

The imagined part runs exactly as it will in use, on the model's own predictions, so errors that would compound are
trained against where they arise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.training.batches import Batch, Paths
from learned_sim_env.world_model.detector import LAGS, SIZE_SCALE, detection_loss
from learned_sim_env.world_model.ego_path import ACTION_HISTORY, MOTION_HISTORY, EgoPath
from learned_sim_env.world_model.geometry import integrate, relative
from learned_sim_env.world_model.heads import BIRTH_GRID
from learned_sim_env.world_model.latent import balanced_kl
from learned_sim_env.world_model.map_decoder import CLASS_WEIGHTS
from learned_sim_env.world_model.map_memory import UNKNOWN
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm import DrivingRSSM


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss, and how the imagined pictures are trained."""

    # Pictures are averaged over pixels, not summed: with more weight than this the latents would carry nothing.
    kl: float = 0.02
    kl_dynamics: float = 1.0
    kl_representation: float = 0.1
    motion: float = 1.0
    route: float = 1.0
    terms: float = 1.0
    events: float = 5.0
    agents: float = 1.0
    detection: float = 1.0
    births: float = 0.5
    map: float = 10.0
    ensemble: float = 1.0
    known_weight: float = 0.1  # of pixels that are remembered anyway
    drawn_moments: int = 5  # imagined moments a window whose picture is trained
    seen_moments: int = 3  # observed ones, drawn from the latent alone
    posterior_steps: int = 12  # moments after the context that are observed as well, for the latent's own loss
    blank: float = 0.25  # share of pictures decoded from the latent alone
    revealed: float = 0.6  # share of the others that remember the map as seen a little earlier
    reveal_steps: int = 6  # [steps] how much earlier at most
    true_agents: float = 0.75  # share of windows that start from true boxes rather than detected ones


def window_loss(model: DrivingRSSM, batch: Batch, paths: Paths, config: LossConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Total loss and its parts, for a batch of windows and, for the ego's own motion, a larger one of paths."""
    c = batch.context
    observed = min(c + config.posterior_steps, batch.semantic.shape[1])
    parts: dict[str, Tensor] = {"motion": path_loss(model.ego_path, paths)}
    encodings = model.encoder(batch.semantic[:, :observed].flatten(0, 1)).float().unflatten(0, (-1, observed))
    state, kl = _context(model, batch, encodings, config)
    outputs = _detect(model, batch)
    pose, motion, size = batch.agent_pose[:, c - 1], batch.agent_motion[:, c - 1], batch.agent_size[:, c - 1]
    seen = _in_view(model, pose, batch, c - 1)
    parts["detection"] = detection_loss(model.detector, outputs, pose, motion, size, seen)
    kl_future, hs, zs = _posterior_future(model, batch, encodings, state, config)
    parts["kl"] = _mean(torch.stack(kl + kl_future, 1), batch.valid[:, :observed])
    parts["ensemble"] = _ensemble_loss(model, torch.stack(hs, 1).detach(), encodings[:, c:], batch.valid[:, c:observed])
    state.update(model.detector.boxes(outputs.detach(), batch.semantic[:, c - 1], model.config.slots))
    state, ids = _start_agents(model, state, batch, config)
    state["surroundings"] = model.surroundings(state)
    states = imagine_window(model, state, batch.actions[:, c:])
    parts.update(_rollout_losses(model, states, ids, batch))
    parts["map"] = _map_loss(model, states, torch.stack(hs, 1), torch.stack(zs, 1), batch, config)
    total = torch.zeros((), device=batch.ego.device)
    for name, value in parts.items():
        total = total + value * getattr(config, name)
    return total, {name: value.detach() for name, value in parts.items()}


def path_loss(path: EgoPath, batch: Paths) -> Tensor:
    """Loss of the ego's motion: read off the context's observations, then predicted on its own predictions."""
    c, valid = batch.context, batch.valid
    ego, b = batch.ego, len(batch.ego)
    motions, actions = ego.new_zeros(b, MOTION_HISTORY, 3), ego.new_zeros(b, ACTION_HISTORY, 2)
    speed, seen = ego.new_zeros(b), torch.zeros(b, dtype=torch.bool, device=ego.device)
    observed, predicted, speeds = [], [], []
    for t in range(c):
        motions, actions = path.observe(motions, actions, speed, batch.actions[:, t], ego[:, t], seen)
        speed, seen = ego[:, t, 0], torch.ones_like(seen)
        observed.append(motions[:, -1])
    for t in range(c, ego.shape[1]):
        motions, actions, speed = path.imagine(motions, actions, speed, batch.actions[:, t])
        predicted.append(motions[:, -1])
        speeds.append(speed)
    read = (torch.stack(observed[1:], 1) - batch.motion[:, 1:c]) / path.change[:3]
    motion = torch.stack(predicted, 1)
    step = (motion - batch.motion[:, c:]) / path.change[:3]
    # Small errors of every step add up to the pose: that is what the picture hangs on.
    drift = relative(integrate(motion), batch.pose[:, c:])
    fast = (torch.stack(speeds, 1) - ego[:, c:, 0])[..., None] / path.change[3]
    ahead = _huber(step) + 0.3 * _huber(fast) + _huber(drift / drift.new_tensor([0.2, 0.2, 0.03]))
    return _mean(ahead, valid[:, c:]) + _mean(_huber(read), valid[:, 1:c])


def imagine_window(model: DrivingRSSM, state: State, actions: Tensor) -> list[State]:
    """States after each of `actions` (B, T, 2), with fresh noise."""
    states = []
    for t in range(actions.shape[1]):
        noise = torch.rand(len(actions), model.noise_size, device=actions.device)
        state = model.imagine(state, actions[:, t], noise)
        states.append(state)
    return states


def _context(model: DrivingRSSM, batch: Batch, encodings: Tensor, config: LossConfig) -> tuple[State, list[Tensor]]:
    """The state after the context, and the KL of each of its moments."""
    state, kls = model.initial(len(batch.ego)), []
    for t in range(batch.context):
        observation = {"semantic": batch.semantic[:, t], "ego": batch.ego[:, t]}
        noise = torch.rand(len(batch.ego), model.config.groups, device=batch.ego.device)
        state, prior, posterior = model.observe_with_logits(
            state, batch.actions[:, t], observation, noise, detect=False, embedding=encodings[:, t]
        )
        kls.append(_kl(prior, posterior, config))
    return state, kls


def _kl(prior: Tensor, posterior: Tensor, config: LossConfig) -> Tensor:
    dynamics, representation = balanced_kl(prior, posterior)
    return config.kl_dynamics * dynamics + config.kl_representation * representation


def _posterior_future(
    model: DrivingRSSM, batch: Batch, encodings: Tensor, state: State, config: LossConfig
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """KL, h and z of the moments after the context, everything else being observed."""
    h, z = state["h"], state["z"]
    kls, hs, zs = [], [], []
    for t in range(batch.context, encodings.shape[1]):
        h = model.latent.advance(h, z, model.step_inputs(batch.ego[:, t - 1], batch.actions[:, t], batch.motion[:, t]))
        prior, posterior = model.latent.prior_logits(h), model.latent.posterior_logits(h, encodings[:, t])
        z = model.latent.sample(posterior, torch.rand(len(h), model.config.groups, device=h.device))
        kls.append(_kl(prior, posterior, config))
        hs.append(h)
        zs.append(z)
    return kls, hs, zs


def _detect(model: DrivingRSSM, batch: Batch) -> Tensor:
    now = batch.context - 1
    lags = [max(now - lag, 0) for lag in LAGS]
    earlier = torch.stack([batch.semantic[:, t] for t in lags], 1)
    return model.detector(batch.semantic[:, now], earlier, torch.stack([batch.pose[:, t] for t in lags], 1))


def _in_view(model: DrivingRSSM, pose: Tensor, batch: Batch, t: int) -> Tensor:
    """Which agents (B, N) have their middle in the ego's view at moment t."""
    bev = model.contract.bev
    row, column = bev.pixels(relative(pose, batch.pose[:, t, None]))
    inside = (row > -0.5) & (row < bev.height - 0.5) & (column > -0.5) & (column < bev.width - 0.5)
    return inside & (batch.agent_ids[:, t] >= 0)


def _start_agents(model: DrivingRSSM, state: State, batch: Batch, config: LossConfig) -> tuple[State, Tensor]:
    """The state with true boxes in most windows; and which true agent (B, K) is in each slot, -1 for none."""
    t, k = batch.context - 1, model.config.slots
    seen = _in_view(model, batch.agent_pose[:, t], batch, t)
    # The nearest come first in the data; those in view move to the front.
    order = torch.argsort(~seen, dim=1, stable=True)[:, :k]
    true = torch.rand(len(seen), 1, device=seen.device) < config.true_agents
    seen = seen.gather(1, order)
    fresh = dict(state)
    for key, values in (
        ("agent_pose", batch.agent_pose),
        ("agent_motion", batch.agent_motion),
        ("agent_size", batch.agent_size),
    ):
        rows = values[:, t].gather(1, order[..., None].expand(-1, -1, values.shape[-1]))
        fresh[key] = torch.where(true[..., None], rows, state[key])
    classes = torch.where(seen, batch.agent_class[:, t].gather(1, order), 0)
    fresh["agent_class"] = torch.where(true, classes, state["agent_class"])
    ids = batch.agent_ids[:, t].gather(1, order)
    return fresh, torch.where(true & seen, ids, -1)


def _rollout_losses(model: DrivingRSSM, states: list[State], ids: Tensor, batch: Batch) -> dict[str, Tensor]:
    c, valid = batch.context, batch.valid[:, batch.context :]

    def stack(key: str) -> Tensor:
        return torch.stack([s[key] for s in states], 1)

    route = stack("ego")[..., 4:6] - batch.ego[:, c:, 4:6]
    route = torch.stack([route[..., 0] / 0.5, torch.sin(route[..., 1]) / 0.1], -1)
    features = torch.stack([model.features(s) for s in states], 1)
    terms, events = model.heads.loss(features, batch.terms[:, c:], batch.events[:, c:])
    return {
        "route": _mean(_huber(route), valid),
        "terms": _mean(terms, valid),
        "events": _mean(events, valid),
        "agents": _agent_loss(stack("agent_pose"), stack("agent_motion"), ids, batch),
        "births": _birth_loss(model, states, batch),
    }


def _agent_loss(pose: Tensor, motion: Tensor, ids: Tensor, batch: Batch) -> Tensor:
    """Where agents (B, T, K, 3) are against where the same agents truly are."""
    c = batch.context
    same = (ids[:, None, :, None] == batch.agent_ids[:, c:, None, :]) & (ids >= 0)[:, None, :, None]
    known = same.any(-1) & batch.valid[:, c:, None]
    # Once lost from the data (out of reach, or gone) an agent is not compared again.
    known = known.long().cumprod(1).bool()
    slot = same.float().argmax(-1)[..., None]
    true = batch.agent_pose[:, c:].gather(2, slot.expand(-1, -1, -1, 3))
    speed = batch.agent_motion[:, c:].gather(2, slot.expand(-1, -1, -1, 2))[..., 0]
    error = relative(pose, true) / pose.new_tensor([1.0, 0.5, 0.15])
    loss = _huber(error) + _huber((motion[..., :1] - speed[..., None]) / 2.0)
    return _mean(loss, known)


def _birth_loss(model: DrivingRSSM, states: list[State], batch: Batch) -> Tensor:
    """Cross-entropy of the cell in which an agent comes into view, and the error of how it is."""
    head, c = model.births, batch.context
    loss = torch.zeros((), device=batch.ego.device)
    for i, state in enumerate(states):
        t = c + i
        here, before = (
            _in_view(model, batch.agent_pose[:, t], batch, t),
            _in_view(model, batch.agent_pose[:, t - 1], batch, t - 1),
        )
        was = (batch.agent_ids[:, t, :, None] == torch.where(before, batch.agent_ids[:, t - 1], -2)[:, None]).any(-1)
        born = here & ~was & batch.valid[:, t, None]
        who = born.float().argmax(-1)
        born = born.any(-1)
        pose = relative(batch.agent_pose[:, t].gather(1, who[:, None, None].expand(-1, 1, 3))[:, 0], batch.pose[:, t])
        cell = head.cell_at(pose[:, :2])
        latent = torch.cat([state["h"], state["z"]], -1)
        target = torch.where(born, cell, BIRTH_GRID**2)
        loss = loss + _mean(F.cross_entropy(head.where(latent).float(), target, reduction="none"), batch.valid[:, t])
        rows = born.nonzero()[:, 0]
        if len(rows):
            size = batch.agent_size[:, t].gather(1, who[:, None, None].expand(-1, 1, 2))[rows, 0]
            speed = batch.agent_motion[:, t].gather(1, who[:, None, None].expand(-1, 1, 2))[rows, 0, :1]
            place = (pose[rows, :2] - head.place(cell[rows])) / head.cell
            p = pose[rows]
            wanted = [
                place,
                torch.cos(p[:, 2:]),
                torch.sin(p[:, 2:]),
                speed / 10,
                (size / size.new_tensor(SIZE_SCALE)).log(),
            ]
            found = head.attributes(latent[rows], cell[rows])
            loss = loss + F.smooth_l1_loss(found, torch.cat(wanted, -1), beta=0.1, reduction="sum") / len(latent)
    return loss / len(states)


def _map_loss(
    model: DrivingRSSM, states: list[State], h: Tensor, z: Tensor, batch: Batch, config: LossConfig
) -> Tensor:
    """Cross-entropy of what stands still: at some imagined moments, and at some observed ones from the latent alone."""
    c, device = batch.context, batch.ego.device
    order = torch.randperm(len(states)).tolist()
    latents, remembered, targets, valid = [], [], [], []
    for i in order[: config.drawn_moments]:
        latents.append(torch.cat([states[i]["h"], states[i]["z"]], -1))
        remembered.append(_remember(model, states[i], batch, c + i, config))
        targets.append(batch.static[:, c + i])
        valid.append(batch.valid[:, c + i])
    # Without this the encoder would be taught only through imagination, and its latents would say little.
    for i in torch.randperm(h.shape[1])[: config.seen_moments].tolist():
        latents.append(torch.cat([h[:, i], z[:, i]], -1))
        remembered.append(torch.full_like(batch.static[:, c + i], UNKNOWN))
        targets.append(batch.static[:, c + i])
        valid.append(batch.valid[:, c + i])
    known, target = torch.cat(remembered), torch.cat(targets).long()
    logits = model.decoder(torch.cat(latents), known).float()
    weights = torch.tensor(CLASS_WEIGHTS, device=device)
    loss = F.cross_entropy(logits.flatten(0, 2), target.flatten(), weight=weights, reduction="none").view(target.shape)
    weight = torch.where(known == UNKNOWN, 1.0, config.known_weight)
    return _mean((loss * weight).mean((-1, -2)), torch.cat(valid))


def _remember(model: DrivingRSSM, state: State, batch: Batch, t: int, config: LossConfig) -> Tensor:
    """What the model may have to go on when it draws moment t: (B, H, W) uint8 with UNKNOWN."""
    b, device = len(batch.ego), batch.ego.device
    with torch.no_grad():
        cells, origin = model.memory.follow(state["map"], state["map_origin"], state["pose"])
        ago = torch.randint(1, config.reveal_steps + 1, (b,), device=device)
        earlier = (t - ago).clamp_min(batch.context - 1)
        row = torch.arange(b, device=device)
        reveal = torch.rand(b, device=device) < config.revealed
        shown = batch.static[row, earlier]
        model.memory.write_imagined(
            cells, origin, batch.pose[row, earlier], shown, reveal[:, None, None].expand_as(shown)
        )
        ids = model.memory.read_view(cells, origin, state["pose"])
        blank = torch.rand(b, device=device) < config.blank
        return ids.masked_fill(blank[:, None, None], UNKNOWN)


def _ensemble_loss(model: DrivingRSSM, h: Tensor, encodings: Tensor, valid: Tensor) -> Tensor:
    target = model.ensemble.target(encodings.flatten(0, 1))
    error = F.mse_loss(model.ensemble(h.flatten(0, 1)), target.expand(model.ensemble.members, -1, -1), reduction="none")
    return _mean(error.mean((0, 2)).unflatten(0, valid.shape), valid)


def _huber(error: Tensor) -> Tensor:
    """Smooth L1 of errors in units that make 1 large, summed over the last dimension."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.5).sum(-1)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask`."""
    return (values * mask).sum() / mask.sum().clamp_min(1)
