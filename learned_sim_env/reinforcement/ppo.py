"""Training a driving policy with Stable-Baselines3's PPO, in the dream or in the simulator; can be broken off.

A run's folder holds `policy-<steps>.safetensors` (some on the way, for `NetworkPolicy`), `state.safetensors` (what
it is resumed from: all weights and Adam's moments) and `run.json` (its settings, its curve, its time). No pickles.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import TransformReward
from safetensors.torch import load_file, save_file

import learned_sim_env  # noqa: F401  registers the ids
from learned_sim_env.drivers.camera_network import CAMERAS, CameraPolicy
from learned_sim_env.drivers.network import NetworkPolicy
from learned_sim_env.files import replacing, write_json
from learned_sim_env.registration import declarations
from learned_sim_env.reinforcement.camera_observation import PICTURES, VectorCameraObservation, modalities
from learned_sim_env.reinforcement.camera_policy import CameraActorCritic
from learned_sim_env.reinforcement.recipe import PLACES, Recipe
from learned_sim_env.reinforcement.sb3 import Sb3VecEnv
from learned_sim_env.reinforcement.vector_wrappers import (
    VectorCostAsReward,
    VectorRayObservation,
    VectorSpeedLimit,
    VectorTargetActions,
    VectorUncertaintyPenalty,
)
from learned_sim_env.spec import unknown
from learned_sim_env.world_model.checkpoint import find, read_config

ENV_ID = "LearnedDriving-v0"


def make_env(place: str, recipe: Recipe, checkpoint: str = "bev-rssm", seed: int = 0) -> Sb3VecEnv:
    """Where to train: `recipe.rows` rows of the dream, or one simulator; seeded."""
    if place not in PLACES:
        raise unknown("place", place, PLACES)
    env: gym.vector.VectorEnv
    settings: dict[str, Any] = {}
    if recipe.sees != "rays":
        names = modalities(recipe.sees == "cameras", recipe.needs_bev)
        settings = {"contract": "driving-camera", "modalities": names}
    if place == "dream":
        env = gym.make_vec(
            ENV_ID,
            num_envs=recipe.rows,
            checkpoint=checkpoint,
            max_episode_steps=recipe.horizon,
            dtype="bfloat16",
            autoreset_mode=AutoresetMode.SAME_STEP,
            **settings,
        )
    else:
        twin = declarations()[ENV_ID].twin
        env = gym.vector.SyncVectorEnv([lambda: gym.make(twin, **settings)], autoreset_mode=AutoresetMode.SAME_STEP)
    if recipe.targets:
        env = VectorTargetActions(env)
    if recipe.speed_limit:
        env = VectorSpeedLimit(env, recipe.speed_limit)
    if recipe.cost_weight:
        env = VectorCostAsReward(env, recipe.cost_weight)
    if recipe.penalty:
        env = VectorUncertaintyPenalty(env, recipe.penalty)
    seeing = VectorRayObservation if recipe.sees == "rays" else VectorCameraObservation
    vec = Sb3VecEnv(seeing(TransformReward(env, partial(np.multiply, recipe.reward_scale))))
    vec.seed(seed)
    return vec


def make_model(env: Sb3VecEnv, recipe: Recipe, seed: int) -> Any:
    """Stable-Baselines3's PPO on what `make_env` made."""
    from stable_baselines3 import PPO

    settings: dict[str, Any] = {"net_arch": list(recipe.hidden), "log_std_init": recipe.log_std}
    if recipe.sees == "rays":
        policy: Any = "MlpPolicy"
        settings["activation_fn"] = torch.nn.Tanh
    else:
        policy = CameraActorCritic
        settings.update(privileged=recipe.privileged, reading=recipe.reading > 0)
    model = PPO(
        policy,
        env,
        n_steps=recipe.rollout // env.num_envs,
        batch_size=recipe.batch_size,
        n_epochs=recipe.epochs,
        # Falls with the progress that is left, but never to nothing.
        learning_rate=lambda left: recipe.learning_rate * max(left, 0.05),
        gamma=recipe.gamma,
        gae_lambda=recipe.gae_lambda,
        use_sde=recipe.hold > 0,
        sde_sample_freq=recipe.hold or -1,
        seed=seed,
        device="cpu",
        ent_coef=recipe.reading if recipe.sees == "cameras" else 0.0,
        policy_kwargs=settings,
    )
    mean_action: Any = model.policy.action_net
    with torch.no_grad():
        mean_action.bias[1] = recipe.start
    return model


def train(place: str, recipe: Recipe, seed: int, out: Path, checkpoint: str = "bev-rssm") -> dict[str, Any]:
    """Train, or go on where a run in `out` was broken off.

    Returns:
        What `run.json` holds: "place", "seed", "recipe", "model" (what the dream is made of), "steps", "seconds" of
        wall-clock, "env_seconds" of them in the environment, "saved" (steps of the policies on the way) and "curve", a
        row a rollout: steps, seconds, mean reward a step (the recipe's), mean length, mean return of the episodes that
        ended, and how they did.

    Raises:
        ValueError: if `out` holds a run with other settings.
    """
    torch.set_num_threads(1)
    run: dict[str, Any] = {"place": place, "seed": seed, "recipe": json.loads(json.dumps(asdict(recipe)))}
    if place == "dream":
        config = read_config(find(checkpoint))
        run["model"] = {**config["files"], "uncertainty_bound": config["uncertainty_bound"]}
    found = json.loads((out / "run.json").read_text(encoding="utf-8")) if (out / "run.json").is_file() else None
    if found and {key: found.get(key) for key in run} != run:
        raise ValueError(f"{out} holds a run with other settings: give another folder, or delete it")
    run = found or {**run, "steps": 0, "seconds": 0.0, "env_seconds": 0.0, "saved": [], "curve": []}
    if run["steps"] >= recipe.steps:
        return run
    env = make_env(place, recipe, checkpoint, seed=1000 * seed + run["steps"] // recipe.rollout)
    model = make_model(env, recipe, seed)
    if found:
        restore(model, out / "state.safetensors")
        model.num_timesteps = run["steps"]
    model.learn(recipe.steps - run["steps"], callback=_keeper(env, recipe, run, out), reset_num_timesteps=not found)
    env.close()
    return run


def exported(model: Any, about: dict[str, Any], targets: bool = False) -> NetworkPolicy | CameraPolicy:
    """The acting part of a PPO: with an MLP on `drivers.ray_features` a policy that needs NumPy alone, with a
    `CameraActorCritic` one of cameras.

    targets: whether it was trained behind `VectorTargetActions`.
    """
    if isinstance(model.policy, CameraActorCritic):
        cameras = CAMERAS if PICTURES in model.observation_space.spaces else ()
        return CameraPolicy(model.policy.network(), cameras, targets, about)
    parts = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
    layers = [(p.weight.detach().numpy().copy(), p.bias.detach().numpy().copy()) for p in parts if hasattr(p, "weight")]
    return NetworkPolicy(tuple(layers), targets, about)


def store(model: Any, path: Path) -> None:
    """Write all weights and the optimiser's moments of a Stable-Baselines3 algorithm as tensors."""
    # Copied, because what actor and critic share is there under the names of both.
    tensors = {f"policy.{name}": value.clone() for name, value in model.policy.state_dict().items()}
    for i, moments in model.policy.optimizer.state_dict()["state"].items():
        tensors.update({f"adam.{i}.{name}": value.contiguous() for name, value in moments.items()})
    with replacing(path) as temporary:
        save_file(tensors, temporary)


def restore(model: Any, path: Path) -> None:
    """Put back what `store` wrote."""
    tensors = load_file(path)
    model.policy.load_state_dict({n.removeprefix("policy."): v for n, v in tensors.items() if n.startswith("policy.")})
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, i, key = name.split(".")
            state.setdefault(int(i), {})[key] = value
    model.policy.optimizer.load_state_dict({**model.policy.optimizer.state_dict(), "state": state})


def _keeper(env: Sb3VecEnv, recipe: Recipe, run: dict[str, Any], out: Path) -> Any:
    """What writes the run down after every update."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Keeper(BaseCallback):
        """Tells the curve after each rollout; keeps weights before the next, when they were updated."""

        def _on_training_start(self) -> None:
            self.before = time.perf_counter()
            self.counted = env.seconds
            self.rewards: list[float] = []
            self.episodes: list[dict[str, Any]] = []
            self.fresh = True

        def _on_step(self) -> bool:
            self.rewards.append(float(np.mean(self.locals["rewards"])))
            self.episodes += [info for info in self.locals["infos"] if info]
            return True

        def _on_rollout_start(self) -> None:
            if not self.fresh:
                self.keep()
            self.fresh = False

        def _on_rollout_end(self) -> None:
            told = self.episodes
            run["curve"].append(
                {
                    "steps": self.num_timesteps,
                    "seconds": round(run["seconds"] + time.perf_counter() - self.before, 2),
                    "reward": float(np.mean(self.rewards)) / recipe.reward_scale,
                    "length": float(np.mean([e["episode"]["l"] for e in told])) if told else None,
                    "uncertainty": float(np.mean([e["uncertainty"] for e in told])) if told else None,
                    "ends": dict(Counter(str(e["end_reason"]) for e in told)),
                }
            )
            self.rewards, self.episodes = [], []

        def _on_training_end(self) -> None:
            self.keep()

        def keep(self) -> None:
            """Write weights and run."""
            now = time.perf_counter()
            run["seconds"] += now - self.before
            run["env_seconds"] += env.seconds - self.counted
            run["steps"] = self.num_timesteps
            self.before, self.counted = now, env.seconds
            if run["steps"] in recipe.saved_steps:
                about = {name: run[name] for name in ("place", "seed", "steps", "recipe")}
                exported(self.model, about, recipe.targets).save(out / f"policy-{run['steps']}.safetensors")
                run["saved"].append(run["steps"])
            store(self.model, out / "state.safetensors")
            write_json(out / "run.json", run)

    return Keeper()
