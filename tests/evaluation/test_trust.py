"""Uncertainties that are known to tell something, or nothing, of errors that are known."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.trust.rollouts import (
    BASELINES,
    SCORES,
    TrustConfig,
    scores_of,
    uncertain_futures,
)
from learned_sim_env.evaluation.levels.trust.trust import trust
from learned_sim_env.measures.bootstrap import resample
from learned_sim_env.measures.weighted_ranks import by_step, over_all, over_steps, weighted_spearman
from learned_sim_env.reporting.parts import Part
from learned_sim_env.spec import Fingerprints
from tests.evaluation.small import small_checkpoint
from tests.evaluation.world import FIRST_SEED, PIXEL, Oracle, checkpoint, episode, packed

CONFIG = TrustConfig(horizon=20, stride=5, samples=0, batch_size=16, replicates=20)
POSITION, WRONG = "position [m]", "wrong pixels"
WITHIN = "rank correlation, within a step"


class Doubtful(Oracle):
    """Moves too far by a share that differs from episode to episode, and paints as many pixels wrong.

    `knows`: whether its uncertainty is that share, or a number that has nothing to do with it.
    """

    def __init__(self, data: PackedData, knows: bool):
        super().__init__(data)
        rng = np.random.default_rng(0)
        episode = np.arange(len(data)).repeat(data.lengths)
        self.share = rng.permutation(np.linspace(0, 0.4, len(data)))[episode]
        self.says = self.share + 1 if knows else rng.random(len(self.ends))

    def decode(self, state):
        heads = super().decode(state)
        heads["motion"] *= 1 + torch.from_numpy(self.share[state["row"].numpy()])[:, None]
        heads["uncertainty"] = torch.from_numpy(self.says[state["row"].numpy()]).float()
        return heads

    def draw(self, state, names):
        drawn, _ = super().draw(state, ("bev",))
        view = drawn["bev"]
        for some, share in zip(view, self.share[state["row"].numpy()]):
            some.view(-1)[: round(share * 2000)] = 7
        return {"bev": view}, state


def doubtful(data: PackedData, knows: bool, bound: float = 1.2) -> SimpleNamespace:
    found = checkpoint(Doubtful(data, knows))
    found.uncertainty_bound = bound
    return found


@pytest.fixture(scope="module")
def data() -> PackedData:
    return packed([episode(FIRST_SEED + i, 40) for i in range(12)])


@pytest.fixture(scope="module")
def wise(data: PackedData) -> Part:
    return trust(doubtful(data, True), data, CONFIG)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_that_of_scipy_on_repeated_data(ties: bool) -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    if ties:
        x, y = x.round(), y.round()
    weights = resample(np.arange(60) // 5, 12, 30, seed=0)
    found = weighted_spearman(weights, x, y)
    for w, value in zip(weights.astype(np.int64), found):
        assert value == pytest.approx(stats.spearmanr(x.repeat(w), y.repeat(w)).statistic)
    assert np.isnan(weighted_spearman(weights, x, np.ones(60))).all()


def test_growth_with_time_alone_counts_over_all_steps_only() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(1, 21)
    x, y = (t + 0.1 * rng.normal(size=(300, 20)) for _ in range(2))
    weights, known = np.ones((1, 300)), np.ones((300, 20), bool)
    assert over_all(weighted_spearman, weights, x, y, known)[0] > 0.99
    steps = by_step(weighted_spearman, weights, x, y, known)
    assert steps.shape == (1, 20)
    assert abs(over_steps(steps, np.ones(20))[0]) < 0.05


def test_steps_count_by_importance_and_where_they_are_known() -> None:
    values = np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(over_steps(values, np.array([3, 1, 9])), [1.5, np.nan])
    known = np.array([[True, False], [True, False], [True, False]])
    found = by_step(
        weighted_spearman, np.ones((2, 3)), np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2), known
    )
    np.testing.assert_array_equal(found, [[1, np.nan], [1, np.nan]])


def test_errors_and_scores_are_what_the_world_makes_them(data: PackedData) -> None:
    model = Doubtful(data, True)
    futures = uncertain_futures(model, data, CONFIG)
    share = model.share[data.starts][futures.episode][:, None]
    t = np.arange(1, 21)
    np.testing.assert_allclose(futures.position[futures.valid], (share * t * PIXEL)[futures.valid], atol=2e-3)
    np.testing.assert_allclose(futures.uncertainty[futures.valid], (share + 0 * t + 1)[futures.valid], rtol=1e-6)
    assert np.isnan(futures.wrong[:, 3]).all()
    # Some pixels that it paints over are the ego's neighbours, never the ego itself; a few are cars that it hides.
    expected = (share * 2000 / 4096)[:, 0]
    np.testing.assert_allclose(futures.wrong[:, 4], expected, atol=0.005)
    assert not futures.valid.all() and futures.valid[:, 0].all()
    wandering = replace(futures, uncertainty=np.array([[1.0, 3.0, 2.0, *[0.0] * 8]]), speed=np.zeros((1, 11)))
    scores = scores_of(wandering)
    assert tuple(scores) == (*SCORES, *BASELINES)
    assert scores["its maximum so far"][0].tolist() == [1, 3, 3] + [3] * 8
    assert scores["its mean so far"][0, :4].tolist() == [1, 2, 2, 1.5]
    assert np.isnan(scores["10 steps earlier"][0, :10]).all() and scores["10 steps earlier"][0, 10] == 1


def test_an_uncertainty_that_knows_is_told_from_one_that_does_not(data: PackedData, wise: Part) -> None:
    blind = trust(doubtful(data, False), data, CONFIG).values["ranks"]
    knowing = wise.values["ranks"]
    for error, bounds in ((POSITION, ("0.5", "1")), (WRONG, ("0.1",))):
        for score in SCORES:
            assert knowing[error][score][WITHIN]["value"] == pytest.approx(1, abs=0.02), (error, score)
            assert abs(blind[error][score][WITHIN]["value"]) < 0.35, (error, score)
            for bound in bounds:
                name = f"AUROC, error > {bound}, within a step"
                assert knowing[error][score][name]["value"] == pytest.approx(1, abs=0.02)
                assert 0.2 < blind[error][score][name]["value"] < 0.8
    # Over all steps it only knows half of it, and time the other half.
    assert 0.3 < knowing[POSITION]["uncertainty"]["rank correlation"]["value"] < 0.95
    assert 0.3 < knowing[POSITION]["time since the context"]["rank correlation"]["value"] < 0.95
    assert knowing[POSITION]["time since the context"][WITHIN]["value"] is None
    # No view is more than a fifth wrong.
    assert knowing[WRONG]["uncertainty"]["AUROC, error > 0.2"]["value"] is None
    low, value, high = (knowing[POSITION]["uncertainty"]["rank correlation"][k] for k in ("low", "value", "high"))
    assert low < value < high


def test_what_a_bound_cuts(data: PackedData, wise: Part) -> None:
    cut = wise.values["cuts"]["of the checkpoint"]
    assert cut["bound"] == 1.2
    # Shares are 0 to 0.4 in twelve steps: six episodes lie above a half of it, and all their steps.
    for name in ("steps above", "steps cut", "futures cut"):
        assert cut[name]["value"] == 0.5
    kept, gone = cut[POSITION]["kept"]["value"], cut[POSITION]["cut"]["value"]
    assert gone / kept == pytest.approx((0.4 + 2.4 / 11) / (0.4 - 2.4 / 11), rel=1e-3)
    assert cut[POSITION]["all at the times of the cut"]["value"] == pytest.approx((gone + kept) / 2, rel=1e-3)
    # One moment of doubt ends an episode: all that follows is cut.
    model = Doubtful(data, True)
    moment = data.starts + 20
    model.says = np.zeros(len(model.ends))
    model.says[moment] = 5.0
    wary = checkpoint(model)
    wary.uncertainty_bound = 1.0
    cut = trust(wary, data, CONFIG).values["cuts"]["of the checkpoint"]
    assert 0 < cut["steps above"]["value"] < 0.1 < cut["steps cut"]["value"] < cut["futures cut"]["value"] < 1


def test_keeping_the_certain_lowers_the_error(wise: Part) -> None:
    curves = wise.values["mean_error_of_kept"][POSITION]
    assert set(curves) == {"all steps", "step 20"}
    for lines in curves.values():
        ends = [line[-1] for line in lines.values()]
        assert max(ends) == pytest.approx(min(ends))
    last = curves["step 20"]
    assert last["uncertainty"] == pytest.approx(last["the error itself"], rel=0.02)
    assert last["uncertainty"][0] < 0.2 * last["uncertainty"][-1]
    assert "time since the context" not in last
    assert curves["all steps"]["the error itself"][4] < curves["all steps"]["uncertainty"][4]


def test_a_real_model_from_data_to_figures(world: PackedData) -> None:
    small = small_checkpoint(world)
    part = trust(small, world, replace(CONFIG, horizon=10, stride=10, samples=2))
    assert part.values["futures"] == 2 * trust(small, world, replace(CONFIG, horizon=10, stride=10)).values["futures"]
    json.dumps(part.values, allow_nan=False)
    assert 0 < part.values["uncertainty_quantiles"]["0.5"] < part.values["uncertainty_quantiles"]["1"]
    for table in part.tables:
        assert all(len(row) == len(table.head) for row in table.rows)
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from matplotlib.figure import Figure

    axes = []
    for draw in part.figures.values():
        figure = Figure()
        draw(figure)
        axes += figure.axes
    assert len(axes) == 5 and all(axis.lines for axis in axes)


def test_what_makes_no_sense_is_refused(world: PackedData) -> None:
    for setting in ({"horizon": 4}, {"stride": 0}, {"samples": -1}, {"batch_size": 0}, {"replicates": 0}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            TrustConfig(**setting)
    with pytest.raises(ValueError, match="another task"):
        trust(doubtful(world, True), replace(world, fingerprints=Fingerprints("0" * 64, {})), CONFIG)
    with pytest.raises(ValueError, match="none of the 1 episodes is long enough"):
        trust(doubtful(world, True), world.select(np.array([5])), CONFIG)
