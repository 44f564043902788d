"""The native vector environment does what Gymnasium's does over single ones, in one forward pass."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence, data_shares_objects
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.observations import tiled
from tests.toy_model import CRASH, IDLE, NeuralToy, ToyModel, toy_checkpoint

N = 5
IDLES = np.tile(IDLE, (N, 1))


def make(n=N, model=None, **settings):
    return LearnedDrivingVectorEnv(n, toy_checkpoint(model), **settings)


def both(mode, **settings):
    """The native one and Gymnasium's, over the same kind of rows: short episodes that end in every way."""

    def single():
        return LearnedDrivingEnv(toy_checkpoint(ToyModel(risk=0.05)), max_episode_steps=9, **settings)

    native = make(model=ToyModel(risk=0.05), max_episode_steps=9, autoreset_mode=mode, **settings)
    return native, SyncVectorEnv([single] * N, autoreset_mode=mode)


def random_actions(rng):
    actions = rng.uniform(-1, 1, (N, 2)).astype(np.float32)
    wild = rng.random(N) < 0.15
    actions[wild] = np.sign(actions[wild])  # crash, arrive or surprise
    return actions


def same(native, reference):
    assert len(native) == len(reference)
    for ours, theirs in zip(native, reference):
        assert data_equivalence(ours, theirs, exact=True)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("obs_type", ["dict", "bev", "latent"])
def test_equals_gymnasiums_over_single_environments(mode, obs_type):
    native, reference = both(mode, obs_type=obs_type)
    assert native.observation_space == reference.observation_space
    assert native.action_space == reference.action_space
    assert native.metadata["autoreset_mode"] is mode
    same(native.reset(seed=7), reference.reset(seed=7))
    rng, reasons = np.random.default_rng(1), set()
    for _ in range(60):
        actions = random_actions(rng)
        ours = native.step(actions)
        same(ours, reference.step(actions))
        reasons |= set(ours[4]["end_reason"]) | set(ours[4].get("final_info", {}).get("end_reason", []))
        over = ours[2] | ours[3]
        if mode is AutoresetMode.DISABLED and over.any():
            same(native.reset(options={"reset_mask": over}), reference.reset(options={"reset_mask": over}))
    assert reasons >= {"collision", "arrival", "off_road", "uncertainty", "time_limit"}
    same(native.reset(seed=[1, None, 3, None, 5]), reference.reset(seed=[1, None, 3, None, 5]))
    same(native.reset(options={"scenario": "curve"}), reference.reset(options={"scenario": "curve"}))
    assert native.np_random_seed == reference.np_random_seed


def test_partial_reset_with_seeds_and_options():
    native, reference = both(AutoresetMode.DISABLED)
    native.reset(seed=0), reference.reset(seed=0)
    mask = np.array([True, False, True, False, False])
    for env in (native, reference):
        env.step(IDLES)
    ours = native.reset(seed=40, options={"reset_mask": mask, "context": 3})
    same(ours, reference.reset(seed=40, options={"reset_mask": mask, "context": 3}))
    same(native.step(IDLES), reference.step(IDLES))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_modes_by_name(mode):
    assert make(autoreset_mode=mode).metadata["autoreset_mode"] is AutoresetMode(mode)
    assert "autoreset_mode" not in LearnedDrivingVectorEnv.metadata


def test_one_row_ending_leaves_the_others_alone():
    calm, wild = make(model=NeuralToy(), obs_type="latent"), make(model=NeuralToy(), obs_type="latent")
    calm.reset(seed=0), wild.reset(seed=0)
    rng = np.random.default_rng(2)
    for t in range(30):
        actions = rng.uniform(-0.9, 0.9, (N, 2)).astype(np.float32)
        wilder = actions.copy()
        if t % 4 == 0:
            wilder[1] = CRASH
        ours, theirs = wild.step(wilder), calm.step(actions)
        others = [0, 2, 3, 4]
        assert np.array_equal(ours[0][others], theirs[0][others])
        assert np.array_equal(ours[1][others], theirs[1][others])
        assert ours[4]["imagined_steps"][others].tolist() == [t + 1] * 4
        # It ends, is reset in the step after, and goes on to the next crash.
        assert ours[4]["imagined_steps"][1] == (1 if t == 0 else [3, 0, 1, 2][t % 4])


def test_time_limits_are_counted_by_row():
    envs = make(max_episode_steps=4, autoreset_mode="SameStep")
    envs.reset(seed=0)
    envs.step(IDLES)
    envs.step(np.where(np.arange(N)[:, None] == 0, CRASH, IDLES))
    truncations = [envs.step(IDLES)[3].tolist() for _ in range(4)]
    assert [t[0] for t in truncations] == [False, False, False, True]
    assert [t[1] for t in truncations] == [False, True, False, False]


def test_rows_are_seeded_one_by_one():
    envs = make(obs_type="latent")
    first, _ = envs.reset(seed=3)
    single = LearnedDrivingEnv(toy_checkpoint(), obs_type="latent")
    for i in range(N):
        assert np.array_equal(first[i], single.reset(seed=3 + i)[0])
    steps = [envs.step(IDLES)[0] for _ in range(5)]
    envs.reset(seed=3)
    assert np.array_equal(steps, [envs.step(IDLES)[0] for _ in range(5)])
    with pytest.raises(ValueError, match="2 seeds for 5 rows"):
        envs.reset(seed=[1, 2])


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_latent_never_draws(mode):
    envs = make(obs_type="latent", autoreset_mode=mode, render_mode="rgb_array", max_episode_steps=3)
    envs.reset(seed=0)
    for _ in range(7):
        *_, terminations, truncations, _ = envs.step(IDLES)
        if mode is AutoresetMode.DISABLED and truncations.any():
            envs.reset(options={"reset_mask": truncations})
    assert envs.checkpoint.model.drawn == 0
    assert len(envs.render()) == N
    assert envs.checkpoint.model.drawn == 1


def test_one_forward_pass_for_all_rows():
    class Counting(ToyModel):
        calls = 0

        def imagine(self, *arguments):
            self.calls += 1
            return super().imagine(*arguments)

    model = Counting()
    envs = make(64, model)
    envs.reset(seed=0)
    drawn = model.drawn
    for _ in range(3):
        envs.step(np.zeros((64, 2)))
    assert (model.calls, model.drawn - drawn) == (3, 3)


def test_what_was_returned_stays_as_it_was():
    envs = make(autoreset_mode="SameStep", max_episode_steps=2)
    results = [envs.reset(seed=0)] + [envs.step(IDLES) for _ in range(4)]
    for i, earlier in enumerate(results):
        for later in results[i + 1 :]:
            assert not data_shares_objects(earlier[0], later[0])
            assert not data_shares_objects(earlier[-1], later[-1])
    final = results[2][4]["final_obs"][0]
    assert not np.shares_memory(final["bev"], results[2][0]["bev"])


def test_disabled_mode_wants_ended_rows_reset():
    envs = make(autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step(np.where(np.arange(N)[:, None] == 3, CRASH, IDLES))
    with pytest.raises(ResetNeeded, match=r"rows \[3\]"):
        envs.step(IDLES)


def test_step_before_reset():
    envs = make()
    with pytest.raises(ResetNeeded, match=r"rows \[0, 1, 2, 3, 4\]"):
        envs.step(IDLES)
    envs.reset(options={"reset_mask": np.array([True, True, False, True, True])})
    with pytest.raises(ResetNeeded, match=r"rows \[2\]"):
        envs.step(IDLES)


@pytest.mark.parametrize(
    "actions", [IDLE, IDLES[:4], np.full((N, 2), np.nan), np.full((N, 2), "a"), [[0.0, 0.0], [0.0]], np.zeros(N, int)]
)
def test_bad_actions_are_refused(actions):
    envs = make()
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        envs.step(actions)


@pytest.mark.parametrize("mask", [[True] * N, np.ones(N), np.ones(N, int)])
def test_masks_of_another_type(mask):
    with pytest.raises(TypeError, match="reset_mask"):
        make().reset(options={"reset_mask": mask})


@pytest.mark.parametrize("mask", [np.ones(N + 1, bool), np.zeros(N, bool)])
def test_masks_of_another_shape(mask):
    with pytest.raises(ValueError, match="reset_mask"):
        make().reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"autoreset_mode": "NextSteps"}, "Did you mean 'NextStep'?"),
        ({"n": 0}, "num_envs 0"),
        ({"render_mode": "ansi"}, "unknown render_mode 'ansi'"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError) as raised:
        make(**settings)
    assert message in str(raised.value)


def test_make_vec_and_vector_wrappers():
    gym.register(
        "ToyDriving-v0",
        vector_entry_point=lambda **settings: LearnedDrivingVectorEnv(checkpoint=toy_checkpoint(), **settings),
    )
    try:
        envs = gym.make_vec("ToyDriving-v0", 3, autoreset_mode="SameStep", max_episode_steps=4, obs_type="latent")
    finally:
        del gym.registry["ToyDriving-v0"]
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
    first, _ = envs.reset(seed=0)
    for _ in range(4):
        observations, *_, infos = envs.step(np.zeros((3, 2), np.float32))
    assert infos["episode"]["l"].tolist() == [4, 4, 4]
    assert [o[0] for o in infos["final_obs"]] == (first[:, 0] + 4).tolist()
    assert observations.shape == (3, 5)


@pytest.mark.gpu
def test_a_gpu_imagines_the_same():
    here, there = make(model=ToyModel(risk=0.05)), make(model=ToyModel(risk=0.05, device="cuda"))
    same(here.reset(seed=7), there.reset(seed=7))
    rng = np.random.default_rng(1)
    for _ in range(30):
        actions = random_actions(rng)
        same(here.step(actions), there.step(actions))
    here.restore(1, there.snapshot(0)), there.restore(1, there.snapshot(0))
    same(here.step(IDLES), there.step(IDLES))


def test_frames():
    envs = make(render_mode="rgb_array")
    with pytest.raises(ResetNeeded, match="nothing to be seen"):
        envs.render()
    observations, _ = envs.reset(seed=0)
    assert np.array_equal(np.stack(envs.render()), observations["bev"])
    grid = tiled(observations["bev"])
    assert grid.shape == (128, 192, 3)
    assert np.array_equal(grid[64:, 64:128], observations["bev"][4])
    assert not grid[64:, 128:].any()


def test_window():
    pygame = pytest.importorskip("pygame", reason="render mode 'human' needs the extra [viewer]")
    envs = make(render_mode="human")
    envs.reset(seed=0)
    envs.step(IDLES)
    assert pygame.display.get_surface() is not None
    assert envs.render() is None
    envs.close()
    envs.close()
    assert pygame.display.get_surface() is None
