"""The environment that a checkpoint, named on the command line, dreams in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learned_sim_env.registration import declarations

if TYPE_CHECKING:
    import gymnasium as gym

    from learned_sim_env.world_model.checkpoint import Checkpoint


def env_id_for(checkpoint: Checkpoint) -> str:
    """The id of the learned environment with the checkpoint's contract: the one that declares it, or else the first.

    Raises:
        ValueError: if no such environment is declared.
    """
    wanted = ("learned", checkpoint.contract.name, ("dict", "continuous"))
    fitting = [d for d in declarations().values() if (d.backend, d.contract, d.form) == wanted]
    if not fitting:
        raise ValueError(
            f"checkpoint {checkpoint.name} is for contract {checkpoint.contract.name!r}, which no learned environment "
            "has: declare one in envs/<id>.toml"
        )
    own = [d for d in fitting if d.settings.get("checkpoint") == checkpoint.name]
    return (own or fitting)[0].id


def make_dream(env_id: str, checkpoint: Checkpoint) -> gym.Env[Any, Any]:
    """The environment `env_id` with that checkpoint.

    It observes what its model draws of the contract's observation, and the view from above if that is drawn at all,
    because many drivers need it.
    """
    import gymnasium as gym

    wanted = dict.fromkeys((*checkpoint.contract.observation, "bev"))
    names = tuple(name for name in wanted if name in ("ego", *checkpoint.model.draws))
    return gym.make(env_id, checkpoint=checkpoint, modalities=names)
