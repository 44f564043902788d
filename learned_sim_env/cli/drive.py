"""Drive in a dream, by hand or by a policy."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from learned_sim_env.cli.checkpoint_env import env_id_for, make_dream
from learned_sim_env.settings import parse_settings
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.spec import TEST_SCENARIOS, unknown

if TYPE_CHECKING:
    import gymnasium as gym
    import numpy as np

    from learned_sim_env.environments.twin import TwinDrivingEnv
    from learned_sim_env.viewer.drive import InteractiveDrive
    from learned_sim_env.viewer.replay import Replay
    from learned_sim_env.world_model.checkpoint import Checkpoint
    from learned_sim_env.world_model.contexts import Contexts

# [steps/s] More cannot be seen.
FASTEST = 100.0
# Moments that are recorded in a simulator which the model was not learned from.
STARTS = 6


@dataclass(frozen=True)
class DriveArgs:
    """Drive in a learned environment: by keyboard, game controller or policy, beside the simulator if you like.

    F1 shows the keys. A recording is a film, its last picture and a .npz, from which --actions drives it again, bit for
    bit. With --headless no display is needed: --steps says how long, and --record where to write.
    """

    checkpoint: str = "bev-rssm"
    """One that ships (bev-rssm, camera-rssm), the path of a folder (./mine), or one on the hub (hf://owner/name)."""
    scenario: str | None = None
    """Where to start: straight, curve, intersection, roundabout, merge, traffic or objects; anywhere by default."""
    policy: str = "human"
    """The driver: human (M hands over to dream, the policy that ships, which learned in the dream), expert (it follows
    the route, blind to traffic), another driver by its name, such as careful or idm, or a file: .safetensors as
    `learned-sim learn` and `transfer` write them, or .zip of Stable-Baselines3."""
    twin: tuple[str, ...] | None = None
    """Show a simulator beside the dream: metadrive, carla or recorded, or, without a name, its own twin. If the model
    was not learned from it, the dream begins at moments that are recorded in it first."""
    twin_settings: tuple[str, ...] = ()
    """Of that simulator, as in: port=2000 town=Town03, or recordings=data/mine-v0, the folder of an import."""
    record: Path | None = None
    """Film to write, an .mp4 or a .gif."""
    fps: float = 10.0
    """Steps a second; the model's own clock has 10."""
    seed: int = 1
    """Of the dream."""
    headless: bool = False
    """Without a window."""
    steps: int | None = None
    """End after so many steps."""
    case: Path | None = None
    """Case (.npz) that `learned-sim stress` has saved, to be driven again as it was."""
    actions: Path | None = None
    """Recording (.npz) to replay, or actions, [steer, throttle_brake] a line (.csv) or row (.npy), to take."""


def run(args: DriveArgs) -> int:
    """Drive, then say how fast that was."""
    # Otherwise idle threads take the processor from working ones; torch reads it when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    _check(args)
    from learned_sim_env.viewer.drive import InteractiveDrive
    from learned_sim_env.viewer.policies import open_policy
    from learned_sim_env.viewer.replay import PLAIN
    from learned_sim_env.viewer.session import Session
    from learned_sim_env.world_model.checkpoint import from_pretrained

    with ExitStack() as opened:
        checkpoint = from_pretrained(args.checkpoint)
        open_twin = partial(_twin, args, env_id_for(checkpoint))
        beside = args.twin is not None
        replayed = args.actions is not None and args.actions.suffix not in PLAIN
        twin = opened.enter_context(closing(open_twin())) if beside and not replayed else None
        env = opened.enter_context(closing(_dream(args, checkpoint, twin)))
        session = Session(env, args.seed, args.scenario)
        policy = open_policy(args.policy, session)
        drive = opened.enter_context(
            closing(InteractiveDrive(session, policy, fps=args.fps, open_twin=lambda: twin or open_twin()))
        )
        drive.by_hand = args.policy == "human"
        try:
            return _headless(args, drive) if args.headless else _window(args, drive)
        except KeyboardInterrupt:
            drive.close()
            _print_written(drive)
            raise


def _dream(args: DriveArgs, checkpoint: Checkpoint, twin: TwinDrivingEnv | None) -> gym.Env:
    """What is driven in: the world of a saved case, or a checkpoint's, whose starts are the twin's if it knows none."""
    if args.case is not None:
        from learned_sim_env.harness.stress.cases import open_case, summary_of

        env = open_case(args.case, args.checkpoint)
        print(summary_of(args.case), flush=True)
        return env
    if twin is not None and not set(args.twin or ()) <= set(checkpoint.training["simulators"]):
        checkpoint = replace(checkpoint, contexts=_starts_in(twin, checkpoint, args))
    return make_dream(env_id_for(checkpoint), checkpoint)


def _twin(args: DriveArgs, env_id: str) -> TwinDrivingEnv:
    from learned_sim_env.twins.pairing import open_twin

    return open_twin(env_id, "".join(args.twin or ()), **parse_settings(args.twin_settings))


def _starts_in(twin: TwinDrivingEnv, checkpoint: Checkpoint, args: DriveArgs) -> Contexts:
    """Contexts for a model that comes from another simulator than `twin`."""
    from learned_sim_env.viewer.recorded_starts import recorded_contexts

    print(f"recording {STARTS} starts in {''.join(args.twin or ())}, which the model was not learned from", flush=True)
    model = checkpoint.model
    return recorded_contexts(twin, TEST_SCENARIOS[:STARTS], model.observes, model.context_steps)


def _check(args: DriveArgs) -> None:
    if len(args.twin or ()) > 1:
        raise ValueError(f"--twin {' '.join(args.twin or ())}: one simulator at most can be shown")
    for name in args.twin or ():
        if name not in SIMULATORS:
            raise unknown("simulator", name, SIMULATORS)
    if args.twin_settings and args.twin is None:
        raise ValueError(f"--twin-settings {' '.join(args.twin_settings)} are of no simulator: give --twin as well")
    parse_settings(args.twin_settings)
    if not 0 < args.fps <= FASTEST:
        raise ValueError(f"fps is {args.fps}; it must be more than 0 and at most {FASTEST:g}")
    if args.steps is not None and args.steps < 1:
        raise ValueError(f"steps is {args.steps}; at least 1 is needed")
    if args.case is not None and args.actions is not None:
        raise ValueError("a case has its own actions: give either --case or --actions")
    if args.headless and args.actions is None and args.case is None:
        if args.policy == "human":
            raise ValueError("nothing can be driven by hand without a display: give --policy expert, or --actions")
        if args.steps is None:
            raise ValueError("without a display it would never end: give --steps")


def _window(args: DriveArgs, drive: InteractiveDrive) -> int:
    from learned_sim_env.viewer.app import App
    from learned_sim_env.viewer.saved_drive import film_path

    # Rather now than when the window is open.
    actions, replay = _given(args, drive)
    app = App(drive, args.record or Path("runs/drive/drive.mp4"), args.steps)
    if actions is not None:
        drive.by_hand = False
    if replay is not None:
        drive.script = replay.frames()
    if args.twin is not None:
        drive.twin.toggle()
    if args.record is not None:
        path, said = film_path(args.record)
        print(said or f"recording {path}", flush=True)
        drive.record(path)
    app.run()
    print(_times("model, a step", drive.model_times))
    print(_times("display, a picture", app.display_times))
    rates = (count / app.seconds for count in (drive.steps, len(app.display_times)))
    print("{:.1f} steps and {:.1f} pictures a second".format(*rates) + f" over {app.seconds:.1f} s")
    _print_written(drive)
    return 0


def _headless(args: DriveArgs, drive: InteractiveDrive) -> int:
    from tqdm import tqdm

    from learned_sim_env.viewer.offline import drive_for, replay_all
    from learned_sim_env.viewer.saved_drive import film_path

    actions, replay = _given(args, drive)
    drive.by_hand = False
    steps = args.steps or len(actions if actions is not None else replay.tape if replay is not None else ())
    if replay is not None:
        drive.fps, steps = float(replay.tape.about["fps"]), len(replay.tape)
    elif args.twin is not None:
        drive.twin.toggle()
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
    _print_written(drive)
    return 0 if replay is None else _compared(replay)


def _given(args: DriveArgs, drive: InteractiveDrive) -> tuple[np.ndarray | None, Replay | None]:
    """What --actions or --case names: actions, which drive from now on, or a recording."""
    from learned_sim_env.viewer.replay import PLAIN, Given, Replay, read_actions
    from learned_sim_env.viewer.tape import Tape

    path = args.case or args.actions
    if path is None:
        return None, None
    if args.case is not None or path.suffix not in PLAIN:
        return None, Replay(Tape.load(path), drive.session)
    actions = read_actions(path)
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


def _print_written(drive: InteractiveDrive) -> None:
    if drive.written:
        print(f"written: {', '.join(map(str, drive.written))}")
