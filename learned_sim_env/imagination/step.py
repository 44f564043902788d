"""One step of many rows as a single function of tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.task import EVENTS
from learned_sim_env.world_model.layers import as_dtype
from learned_sim_env.world_model.protocol import State, WorldModel

# Where a step's results lie when packed side by side.
COLUMNS = {
    "ego": slice(0, 6),
    "motion": slice(6, 9),
    "terms": slice(9, 13),
    "events": slice(13, 17),
    "uncertainty": slice(17, 18),
    "features": slice(18, 19),  # their sum, which is finite where they are
    "probabilities": slice(19, 23),  # of events
}


class Step(nn.Module):
    """One clock step of B rows of a model, see `Rollout` for `temperature`."""

    def __init__(self, model: WorldModel, temperature: float):
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, state: State, action: Tensor, seeds: Tensor, steps: Tensor) -> tuple[State, Tensor, Tensor]:
        """Take a step from a state, with actions (B, 2) float32 and the seeds and steps (B,) int64 of the noise.

        Returns:
            The state after it; the outputs of its heads, (B, 23) float32 as in `COLUMNS`, events as the difference
            between probability and drawn threshold; and its features.
        """
        model = self.model
        noise: Tensor | None = None
        threshold: Tensor | float = 0.5
        if self.temperature > 0:
            uniform = uniforms(seeds, steps, len(EVENTS) + model.noise_size)
            threshold, noise = uniform[:, : len(EVENTS)], uniform[:, len(EVENTS) :]
        after = model.imagine(state, action, noise, self.temperature)
        heads = model.decode(after)
        columns = {
            **heads,
            # Differences rather than booleans, so that values that are not finite stay so.
            "events": heads["events"] - threshold,
            "uncertainty": heads["uncertainty"][:, None],
            "features": heads["features"].sum(1, keepdim=True),
            "probabilities": heads["events"],
        }
        packed = torch.cat([columns[name] for name in COLUMNS], 1)
        after = {name: as_dtype(value, state[name].dtype) for name, value in after.items()}
        return after, as_dtype(packed, torch.float32), heads["features"]
