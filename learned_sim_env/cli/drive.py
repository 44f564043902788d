"""Drive in a dream, by hand or by a policy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from learned_sim_env.viewer.drive import Drive
    from learned_sim_env.viewer.replay import Replay

ENV_ID = "LearnedDriving-v0"
# [steps/s] More is no use to anybody who looks.
FASTEST = 100.0


@dataclass(frozen=True)
class Args:
    """Drive in a learned environment: by keyboard, game controller or policy, beside the simulator if you like.

    F1 shows the keys. A recording is a film, its last picture and a .npz, from which --actions drives it again, bit for
    bit. With --headless no display is needed: --steps says how long, and --record where to write.
    """

    checkpoint: str = "bev-rssm"
    """One that ships, a folder, or a hub id."""
    scenario: str | None = None
    """Where to start: straight, curve, intersection, roundabout, merge, traffic or objects; anywhere by default."""
    policy: str = "human"
    """Who drives: human, expert (it follows the route and sees nobody), a policy that ships, or a file: .safetensors as
    `learned-sim transfer` writes them, or .zip of Stable-Baselines3."""
    twin: bool = False
    """Show the simulator that the model was learned from beside the dream."""
    record: Path | None = None
    """Film to write, an .mp4 or a .gif."""
    fps: float = 10.0
    """Steps a second; the model's own clock has 10."""
    seed: int = 0
    """Of the dream."""
    headless: bool = False
    """Without a window."""
    steps: int | None = None
    """End after so many steps."""
    actions: Path | None = None
    """Recording (.npz) to replay, or actions, [steer, throttle_brake] a line (.csv) or row (.npy), to take."""


def run(args: Args) -> int:
    """Drive, then say how fast that was."""
    # Otherwise idle threads take the processor from working ones; torch reads it when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    _check(args)
    import gymnasium as gym

    from learned_sim_env.pairing import open_twin
    from learned_sim_env.viewer.drive import Drive
    from learned_sim_env.viewer.drivers import open_driver
    from learned_sim_env.viewer.session import Session

    env = gym.make(ENV_ID, checkpoint=args.checkpoint)
    session = Session(env, args.seed, args.scenario)
    drive = Drive(session, open_driver(args.policy, session), fps=args.fps, open_twin=lambda: open_twin(ENV_ID))
    drive.by_hand = args.policy == "human"
    try:
        return _headless(args, drive) if args.headless else _window(args, drive)
    finally:
        drive.close()
        env.close()


def _check(args: Args) -> None:
    if not 0 < args.fps <= FASTEST:
        raise ValueError(f"fps is {args.fps}; it must be more than 0 and at most {FASTEST:g}")
    if args.steps is not None and args.steps < 1:
        raise ValueError(f"steps is {args.steps}; at least 1 is needed")
    if args.headless and args.actions is None:
        if args.policy == "human":
            raise ValueError("without a display nobody can drive by hand: give --policy expert, or --actions")
        if args.steps is None:
            raise ValueError("without a display nobody can end it: give --steps")


def _window(args: Args, drive: Drive) -> int:
    from learned_sim_env.viewer.app import App
    from learned_sim_env.viewer.record import film_path

    # Rather now than when the window is open.
    actions, replay = _given(args, drive)
    app = App(drive, args.record or Path("runs/drive/drive.mp4"), args.steps)
    if actions is not None:
        drive.by_hand = False
    if replay is not None:
        drive.script = replay.frames()
    if args.twin:
        drive.toggle_twin()
    if args.record is not None:
        path, said = film_path(args.record)
        print(said or f"recording {path}", flush=True)
        drive.record(path)
    app.run()
    print(_times("model, a step", drive.model_times))
    print(_times("display, a picture", app.display_times))
    rates = (count / app.seconds for count in (drive.steps, len(app.display_times)))
    print("{:.1f} steps and {:.1f} pictures a second".format(*rates) + f" over {app.seconds:.1f} s")
    _told(drive)
    return 0


def _headless(args: Args, drive: Drive) -> int:
    from tqdm import tqdm

    from learned_sim_env.viewer.offline import drive_for, replay_all
    from learned_sim_env.viewer.record import film_path

    actions, replay = _given(args, drive)
    drive.by_hand = False
    steps = args.steps or len(actions if actions is not None else replay.tape if replay is not None else ())
    if replay is not None:
        drive.fps, steps = float(replay.tape.about["fps"]), len(replay.tape)
    elif args.twin:
        drive.toggle_twin()
    if args.record is not None:
        path, said = film_path(args.record)
        if said:
            print(said)
        drive.record(path, begin=replay is None)
    ticks = drive_for(drive, steps, one_episode=actions is not None) if replay is None else replay_all(drive, replay)
    with tqdm(total=steps, unit="step", disable=None) as bar:
        for done in ticks:
            bar.update(done - bar.n)
    drive.stop_recording()
    if replay is None:
        print(_times("model, a step", drive.model_times))
    if drive.session.moment.over:
        print(f"ended by {drive.session.moment.info['end_reason'].replace('_', ' ')}")
    _told(drive)
    return 0 if replay is None else _compared(replay)


def _given(args: Args, drive: Drive) -> tuple[np.ndarray | None, Replay | None]:
    """What --actions names: actions, which drive from now on, or a recording."""
    from learned_sim_env.viewer.replay import PLAIN, Given, Replay, read_actions
    from learned_sim_env.viewer.tape import Tape

    if args.actions is None:
        return None, None
    if args.actions.suffix not in PLAIN:
        return None, Replay(Tape.load(args.actions), drive.session)
    actions = read_actions(args.actions)
    drive.policy = Given(actions, drive.policy)
    return actions, None


def _compared(replay: Replay) -> int:
    """Say whether a replay was what was recorded; the exit status."""
    frames, first = len(replay.tape), replay.first_deviation
    if first < 0:
        print(f"replayed {frames} frames, all of them as recorded")
        return 0
    print(
        f"replayed {frames} frames, not as recorded: from frame {first} on they differ; another processor or version "
        "of torch may round otherwise"
    )
    return 1


def _times(what: str, seconds: list[float]) -> str:
    import numpy as np

    if not seconds:
        return f"{what}: none"
    median, late = np.percentile(seconds, (50, 95)) * 1e3
    return f"{what}: {median:.1f} ms typically, 95% below {late:.1f} ms ({len(seconds)})"


def _told(drive: Drive) -> None:
    if drive.written:
        print(f"written: {', '.join(map(str, drive.written))}")
