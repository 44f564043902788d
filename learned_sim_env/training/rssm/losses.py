"""What a world model is trained for: the posterior along a window, then open-loop imagination over its future.

The imagined part runs exactly as it will in use, on the model's own predictions, so errors that would compound are
trained against where they arise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.road import STATION
from learned_sim_env.task import UNCERTAIN_TERMS
from learned_sim_env.training.batches import Batch, Paths
from learned_sim_env.training.ego_path import path_loss
from learned_sim_env.training.reductions import balanced_kl, huber, masked_mean
from learned_sim_env.training.rssm.agent_losses import birth_loss, detect, start_agents, traffic_loss
from learned_sim_env.training.rssm.map_loss import map_loss
from learned_sim_env.training.rssm.settings import LossConfig
from learned_sim_env.world_model.geometry import turn, unwound
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from learned_sim_env.world_model.rssm.route.path import HEADING_CHORDS


def window_loss(model: DrivingRSSM, batch: Batch, paths: Paths, config: LossConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Total loss and its parts, for a batch of windows and, for the ego's own motion, a larger one of paths."""
    c = batch.context
    observed = min(c + config.posterior_steps, batch.observations["bev"].shape[1])
    parts: dict[str, Tensor] = {"motion": path_loss(model.ego_path, paths), "agents": traffic_loss(model, batch)}
    views, egos = (v[:, :observed].flatten(0, 1) for v in (batch.observations["bev"], batch.ego))
    encodings = model.encoder(views).float().unflatten(0, (-1, observed))
    found = model.route_finder(views, egos).unflatten(0, (-1, observed))
    state, kl = _context(model, batch, encodings, config)
    boxes, parts["detection"] = detect(model, batch, config)
    kl_future, hs, zs = _posterior_future(model, batch, encodings, found, state, config)
    seen = (batch.imaginable & batch.known["bev"])[:, :observed]
    parts["kl"] = masked_mean(torch.stack(kl + kl_future, 1), seen)
    parts["found"] = _found_loss(found, batch)
    parts["guessed"] = masked_mean(model.route_path.guess_loss(batch.route), batch.known_past_end("stations"))
    state.update(boxes)
    state = start_agents(model, state, batch, config)
    state["surroundings"] = model.around(state)
    states = imagine_window(model, _with_limited_view(model, state, config), batch.actions[:, c:])
    parts["map"], wrong = map_loss(model, [state, *states], torch.stack(hs, 1), torch.stack(zs, 1), batch, config)
    parts.update(_rollout_losses(model, states, wrong, batch))
    total = torch.zeros((), device=batch.ego.device)
    for name, value in parts.items():
        total = total + value * getattr(config, name)
    return total, {name: value.detach() for name, value in parts.items()}


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
        observation = {"bev": batch.observations["bev"][:, t], "ego": batch.ego[:, t]}
        noise = torch.rand(len(batch.ego), model.config.groups, device=batch.ego.device)
        state, prior, posterior = model.observe_with_beliefs(
            state, batch.actions[:, t], observation, noise, detect=False, embedding=encodings[:, t]
        )
        kls.append(_kl(prior, posterior, config))
    return state, kls


def _kl(prior: Tensor, posterior: Tensor, config: LossConfig) -> Tensor:
    dynamics, representation = balanced_kl(prior, posterior)
    return config.kl_dynamics * dynamics + config.kl_representation * representation


def _with_limited_view(model: DrivingRSSM, state: State, config: LossConfig) -> State:
    """The state as if, in a share of rows, only little of the road ahead had been seen: the model must cope with it."""
    b, device = len(state["h"]), state["h"].device
    far = torch.empty(b, device=device).uniform_(*config.seen_ahead)
    far = torch.where(torch.rand(b, device=device) < config.unseen, far, torch.inf)
    return {**state, "map": model.memory.known_until(state["map"], far)}


def _posterior_future(
    model: DrivingRSSM, batch: Batch, encodings: Tensor, found: Tensor, state: State, config: LossConfig
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """KL, h and z of the moments after the context, everything else being observed."""
    h, z = state["h"], state["z"]
    kls, hs, zs = [], [], []
    for t in range(batch.context, encodings.shape[1]):
        ego = batch.ego[:, t - 1]
        inputs = model.inputs(ego, found[:, t - 1, HEADING_CHORDS] - ego[:, 5:])
        h = model.latent.advance(h, z, model.step_inputs(inputs, batch.actions[:, t], batch.motion[:, t]))
        prior, posterior = model.latent.believed(model.latent.foresee(h)), model.latent.seen(h, encodings[:, t])
        z = model.latent.sample(posterior, torch.rand(len(h), model.config.groups, device=h.device))
        kls.append(_kl(prior, posterior, config))
        hs.append(h)
        zs.append(z)
    return kls, hs, zs


def _found_loss(found: Tensor, batch: Batch) -> Tensor:
    """The route's chords (B, T, STATIONS) against the true ones: their headings, and where they lead."""
    true = unwound(batch.route + batch.ego[..., 5:])[:, : found.shape[1]]
    place = (STATION * (turn(found) - turn(true))).cumsum(-1)
    error = torch.stack([(found - true) / 0.1, place.real / 2, place.imag / 2], -1)
    return masked_mean(huber(error).mean(-1), (batch.known["stations"] & batch.known["bev"])[:, : found.shape[1]])


def _rollout_losses(model: DrivingRSSM, states: list[State], wrong: Tensor, batch: Batch) -> dict[str, Tensor]:
    """`wrong` (B, T): share of the map that was drawn wrong, NaN where none was drawn."""
    c, valid = batch.context, batch.imaginable[:, batch.context :]
    judged, happened, placed = (valid & batch.known[name][:, c:] for name in ("reward", "events", "pose"))

    def stack(key: str) -> Tensor:
        return torch.stack([s[key] for s in states], 1)

    ego = stack("ego")
    route = ego[..., 4:6] - batch.ego[:, c:, 4:6]
    route = torch.stack([route[..., 0] / 0.5, torch.sin(route[..., 1]) / 0.1], -1)
    features = torch.stack([model.features(s) for s in states], 1)
    lost = (stack("pose") - batch.pose[:, c:])[..., :2].norm(dim=-1).detach()
    terms, events, doubt = model.heads.loss(
        features, batch.terms[:, c:, : len(UNCERTAIN_TERMS)], batch.events[:, c:], torch.stack([lost, wrong], -1)
    )
    return {
        "route": masked_mean(huber(route), valid),
        "terms": masked_mean(terms, judged),
        "events": masked_mean(events, happened),
        "doubt": masked_mean(doubt[..., 0], placed) + masked_mean(doubt[..., 1], valid & ~wrong.isnan()),
        "births": birth_loss(model, model.latent.foresee(stack("h").flatten(0, 1)), batch),
    }
