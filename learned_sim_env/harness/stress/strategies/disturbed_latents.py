"""What may become of what the dream is in: a state that the model never meant."""

from __future__ import annotations

from dataclasses import dataclass

from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.harness.engine.perturbed_model import FLIP, PUSH
from learned_sim_env.measures.needs import Needs
from learned_sim_env.world_model.contexts import Contexts

# What strength 1 means: a push of half the state's own spread in every step, one latent in five replaced in every step,
# four times the temperature.
MOST_PUSH, MOST_FLIP, MOST_TEMPERATURE = 0.5, 0.2, 4.0
_LATENTS = Needs(capabilities=("LatentModel",))


@dataclass(frozen=True)
class LatentNoise(Perturbation):
    """Continuous noise on the deterministic recurrent state, in every step."""

    name = "latent_noise"
    needs = _LATENTS

    def dream(self) -> dict[str, float]:
        return {PUSH: self.strength * MOST_PUSH}


@dataclass(frozen=True)
class LatentFlips(Perturbation):
    """Categorical latents that are replaced at random, in every step."""

    name = "latent_flips"
    needs = _LATENTS

    def dream(self) -> dict[str, float]:
        return {FLIP: self.strength * MOST_FLIP}


@dataclass(frozen=True)
class LatentTemperature(Perturbation):
    """The unlikely becomes likelier: what is imagined is drawn at a higher temperature."""

    name = "latent_temperature"

    def dream(self) -> dict[str, float]:
        return {"temperature": MOST_TEMPERATURE**self.strength}


@dataclass(frozen=True)
class LatentComposition(Perturbation):
    """Begins between two moments: the latents of another one are mixed in, by as much as the strength says."""

    name = "latent_composition"
    needs = _LATENTS
    real_start = False

    def partner(self, bank: Contexts) -> int:
        return int(self.rng().integers(len(bank)))
