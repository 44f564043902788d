"""Drive in a learned environment and film it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learned_sim_env.cli.checkpoint_env import env_id_for, make_dream
from learned_sim_env.optional import require

if TYPE_CHECKING:
    import numpy as np

    from learned_sim_env.environments.twin import TwinDrivingEnv
    from learned_sim_env.twins.pairing import Pair, Side

# Frames for which the end of an episode is held.
HELD = 8


@dataclass(frozen=True)
class DemoArgs:
    """Drive in a learned environment and film it, beside the simulator it was learned from where that is installed.

    The driver knows nothing but the observation. The simulator starts at the same moment and gets the same actions.
    With cameras, the dream stands above the simulator, and the view from above beside the cameras. Writes OUT/demo.gif.
    """

    checkpoint: str = "camera-rssm"
    """One that ships (bev-rssm, camera-rssm), the path of a folder (./mine), or one on the hub (hf://owner/name)."""
    seconds: float = 14.0
    """How long to drive."""
    seed: int = 6
    """Of the dream."""
    scenario: str | None = None
    """Where to start: straight, curve, intersection, roundabout, merge, traffic or objects; anywhere by default."""
    policy: str = "dream"
    """The driver: dream (the policy that ships, learned in the dream), another driver by its name, such as careful,
    idm or follow-8; a .safetensors file; or your own, module:function."""
    out: Path = Path("runs/demo")
    """Where to write."""
    twin: bool = True
    """Show the simulator beside the dream."""


def run(args: DemoArgs) -> int:
    """Drive, print what happened, write the film."""
    from learned_sim_env.films import save_film
    from learned_sim_env.twins.pairing import Pair
    from learned_sim_env.world_model.checkpoint import from_pretrained

    checkpoint = from_pretrained(args.checkpoint)
    env_id = env_id_for(checkpoint)
    dream = make_dream(env_id, checkpoint)
    steps = round(args.seconds / dream.get_wrapper_attr("contract").dt)
    if steps < 1:
        raise ValueError(f"seconds is {args.seconds}; at least one step of 0.1 is needed")
    pair = Pair(dream, _twin(env_id) if args.twin else None)
    try:
        require("PIL", extra="viewer")
        why_no_film = ""
    except ImportError as error:
        why_no_film = str(error)
    options = {} if args.scenario is None else {"scenario": args.scenario}
    try:
        film = _drive(pair, steps, args, options, filmed=not why_no_film)
    finally:
        pair.close()
    if why_no_film:
        print(f"no film: {why_no_film}")
    else:
        # Where cameras move, every pixel changes: half a minute would be too large for a web page.
        small = bool(checkpoint.contract.cameras)
        print(f"written: {save_film(args.out / 'demo.gif', film, small=small)}")
    return 0


def _twin(env_id: str) -> TwinDrivingEnv | None:
    from learned_sim_env.twins.pairing import open_twin

    try:
        return open_twin(env_id)
    except ImportError as error:
        print(f"without the simulator beside it: {error}")
        return None


def _drive(pair: Pair, steps: int, args: DemoArgs, options: dict[str, str], filmed: bool) -> list[np.ndarray]:
    """Drive `steps` steps in as many episodes as it takes, print each, and return the frames."""
    import numpy as np

    from learned_sim_env.drivers.catalogue import open_driver
    from learned_sim_env.drivers.driver import needs_bev

    act = open_driver(args.policy, [args.seed])
    film: list[np.ndarray] = []
    dreamt: list[Side] = []
    episodes = 0
    while pair.steps < steps:
        moment = pair.reset(None if episodes else args.seed, options)
        if needs_bev(act) and "bev" not in moment.observation:
            raise ValueError(
                f"policy {args.policy} needs the view from above, which this model does not draw: give follow-8"
            )
        moments = [moment]
        while pair.steps < steps and not moment.over:
            row = {name: value[None] for name, value in moment.observation.items()}
            moment = pair.step(act(row, np.array([len(moments) == 1]))[0])
            moments.append(moment)
        if filmed:
            film += [m.picture() for m in moments]
            film += film[-1:] * HELD
        episodes += 1
        dream, twin = [m.dream for m in moments], [m.twin for m in moments if m.twin is not None]
        dreamt += dream
        print(f"context {moment.info['context']} ({', '.join(moment.info['scenario_tags'])}), {len(moments) - 1} steps")
        print(f"  dream:     {_account(dream)}")
        if twin:
            print(f"  {pair.simulator}: {_account(twin)}; its start: {pair.agreement}")
    ends = Counter(side.end_reason.replace("_", " ") for side in dreamt if side.end_reason)
    ended = ", ".join(f"{end} {count}" for end, count in ends.items()) or "nothing"
    print(
        f"{pair.steps} steps in {episodes} {'episode' if episodes == 1 else 'episodes'}, "
        f"return {sum(s.reward for s in dreamt):.1f}, cost {sum(s.cost for s in dreamt):g}, ended by {ended}"
    )
    speeds = f"{pair.steps / pair.dream_seconds:.0f} steps/s imagined and drawn"
    print(speeds if pair.twin is None else f"{speeds}, {pair.steps / pair.twin_seconds:.0f} in {pair.simulator}")
    return film


def _account(sides: list[Side]) -> str:
    end = sides[-1].end_reason.replace("_", " ") or "not ended"
    return f"return {sum(s.reward for s in sides):6.1f}, cost {sum(s.cost for s in sides):g}, {end}"
