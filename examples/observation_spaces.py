"""What the learned environments show: the observation of every `obs_type`, looked at after a reset."""

import gymnasium as gym
import numpy as np


def described(observation) -> str:
    """Shapes and types, by name where there are several."""
    if isinstance(observation, dict):
        return ", ".join(f"{name} {described(value)}" for name, value in observation.items())
    return f"{observation.dtype}{list(np.shape(observation))}"


for name in ("LearnedDriving-v0", "LearnedDrivingCamera-v0"):
    first = gym.make(f"learned_sim_env:{name}")
    dream = first.unwrapped
    print(f"{name}: a dream of {dream.checkpoint.name}, which draws {', '.join(dream.checkpoint.model.draws)}")
    for obs_type in dream.contract.obs_types:
        # A checkpoint that is open already is not read again.
        env = gym.make(f"learned_sim_env:{name}", checkpoint=dream.checkpoint, obs_type=obs_type)
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)
        print(f"  obs_type={obs_type!r}: {described(observation)}")
        env.close()
    everything = (*dream.checkpoint.model.draws, "ego")
    env = gym.make(f"learned_sim_env:{name}", checkpoint=dream.checkpoint, modalities=everything)
    print(f"  modalities={everything}: {described(env.reset(seed=0)[0])}\n")
    env.close()
    first.close()
