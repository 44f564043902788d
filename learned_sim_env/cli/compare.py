"""Compare two environments of one contract."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from learned_sim_env.optional import require
from learned_sim_env.registration import EnvDeclaration, declarations
from learned_sim_env.spec import CONTRACTS, SCENARIO_TAGS, unknown

OWN = ("learned", "recorded")


@dataclass(frozen=True)
class CompareArgs:
    """Drive two environments alike and compare them: a dream and its twin, or two simulators.

    The same drivers, which know the observation alone, drive the same kinds of scenario in both. Writes compare.html, a
    page with tables and figures, and compare.json.
    """

    a: Annotated[str, tyro.conf.Positional]
    """Id of an environment."""
    b: Annotated[str, tyro.conf.Positional]
    """Id of the other."""
    episodes: int = 3
    """Of each scenario with each of three drivers: careful, follow-10 and noisy-2."""
    steps: int = 200
    """At most, an episode, of 0.1 s."""
    scenarios: tuple[str, ...] = ("straight", "curve", "intersection", "roundabout", "merge", "traffic")
    """Kinds of scenario; those that one of the two cannot have are left out, and so are drivers that need more than it
    shows."""
    replays: int = 20
    """Moments from which a dream and its own twin are driven with the same actions; 0: none."""
    settings_a: tuple[str, ...] = ()
    """Of the first environment, as in: port=2000 town=Town03, checkpoint=./mine or recordings=data/mine-v0."""
    settings_b: tuple[str, ...] = ()
    """Of the second environment."""
    out: Path = Path("runs/compare")
    """Where to write."""

    def command(self) -> str:
        """What to type to repeat it."""
        flags = [self.a, self.b]
        for name, value in vars(self).items():
            if name not in ("a", "b") and value != ():
                flags += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else (value,))]
        return shlex.join(["learned-sim", "compare", *flags])


def run(args: CompareArgs) -> int:
    """Drive, compare, write, print."""
    import gymnasium as gym

    from learned_sim_env.reporting.write import print_tables, write_report
    from learned_sim_env.settings import parse_settings
    from learned_sim_env.twins.comparison_page import compare
    from learned_sim_env.twins.driven_episodes import ComparisonPlan, drive

    # Rather now than at the end.
    require("matplotlib", extra="train")
    known = declarations()
    for env_id in (args.a, args.b):
        if env_id not in known:
            raise unknown("environment", env_id, known)
        if known[env_id].form != ("dict", "continuous"):
            raise ValueError(
                f"{env_id} has obs_type and action_type {known[env_id].form}: compare those without either"
            )
    for scenario in args.scenarios:
        if scenario not in SCENARIO_TAGS:
            raise unknown("scenario", scenario, SCENARIO_TAGS)
    if known[args.a].contract != known[args.b].contract:
        raise ValueError(f"{args.a} and {args.b} keep different contracts: nothing of them compares")
    settings = [parse_settings(given) for given in (args.settings_a, args.settings_b)]
    seen = [_observable(known[env_id], given) for env_id, given in zip((args.a, args.b), settings)]
    # What both can show, so that they are driven and compared by the same.
    modalities = tuple(name for name in seen[0] if name in seen[1])
    names = (args.a, args.b) if args.a != args.b else (f"{args.a}, first", f"{args.b}, second")
    plan = ComparisonPlan(args.scenarios, episodes=args.episodes, steps=args.steps)
    sides, left_out = [], dict[str, str]()
    makers = [
        partial(gym.make, env_id, disable_env_checker=True, **{"modalities": modalities, **given})
        for env_id, given in zip((args.a, args.b), settings)
    ]
    # Mistakes first, such as recordings that are not there: the other drive may last a while.
    makers[1]().close()
    for make, name in zip(makers, names):
        env = make()
        try:
            episodes, missing = drive(env, plan)
        finally:
            env.close()
        sides.append(episodes)
        left_out |= {what: f"{name}: {why}" for what, why in missing.items()}
        print(f"{name}: {len(episodes)} episodes, {sum(len(e.speed) for e in episodes)} steps", flush=True)
    a, b = ([e for e in episodes if not {e.scenario, e.driver} & set(left_out)] for episodes in sides)
    if left_out and not (a and b):
        raise ValueError(f"nothing of them compares: {'; '.join(dict.fromkeys(left_out.values()))}")
    parts = compare(names, (a, b))
    # Recordings are the twin of what has learned from them.
    if args.replays and (known[args.a].twin == args.b or (known[args.a].backend, known[args.b].backend) == OWN):
        from learned_sim_env.twins.replays import replays

        backend = known[args.b].backend
        parts.append(replays(args.a, args.replays, settings=settings[0], simulator=backend, twin_settings=settings[1]))
    about: dict[str, object] = {
        "scenarios": [s for s in args.scenarios if s not in left_out],
        "command": args.command(),
    }
    if left_out:
        about["left out"] = left_out
    written = write_report(args.out, "compare", f"{names[0]} and {names[1]}", about, parts)
    print_tables(parts, 28)
    print(f"\nwritten: {', '.join(map(str, written))}")
    return 0


def _observable(declared: EnvDeclaration, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What an environment can show of its contract's observation, and the view from above, which most drivers need."""
    contract = CONTRACTS[declared.contract]
    wanted = tuple(dict.fromkeys((*contract.observation, "bev")))
    if declared.backend != "learned":
        return tuple(name for name in wanted if name in {m.name for m in contract.modalities})
    from learned_sim_env.world_model.checkpoint import from_pretrained

    checkpoint = from_pretrained({**declared.settings, **settings}["checkpoint"])
    return tuple(name for name in wanted if name in ("ego", *checkpoint.model.draws))
