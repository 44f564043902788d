"""How alike two sides of a counterfactual are: where actions lead, in which direction and order, to what return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.evaluation.levels.responses.counterfactuals import Counterfactuals
from learned_sim_env.measures.bootstrap import Estimate, ratio
from learned_sim_env.measures.rank_correlation import kendall, spearman

# [m] Smaller effects of an action have no direction worth judging.
EFFECT = 0.1
# Where the twin's returns differ by less, it does not matter what one does.
SPREAD = 0.05
# What is judged of a position: its name, its index, the control it follows, the column of that, the sign between them
# (steering is positive to the right, y to the left).
_DIRECTIONS = (("lateral", 1, "steer", 0, -1.0), ("longitudinal", 0, "throttle", 1, 1.0))


@dataclass(frozen=True, eq=False)
class Responses:
    """What was measured after each of S numbers of steps, over N moments and A actions.

    measures: estimates (S,) by name of the measure and row of its table. by_action: displacement errors (A, S) [m] by
    method. counts: (S,) int64 by name, how much the measures are based on.
    """

    measures: dict[str, dict[str, Estimate]]
    by_action: dict[str, Estimate]
    counts: dict[str, np.ndarray]


def measure(
    weights: np.ndarray,
    dream: Counterfactuals,
    twin: Counterfactuals,
    constant: np.ndarray,
    actions: np.ndarray,
    steps: tuple[int, ...],
) -> Responses:
    """Compare the futures of N moments under `actions` (A, 2), of which the first is to do nothing.

    Positions count while the twin's episode is running: after a crash it has none. Returns count always.

    Args:
        weights: (R, N) float, see `bootstrap`.
        dream, twin: the two sides.
        constant: (N, T, 3) poses of the baseline, the same whatever the action.
        actions: (A, 2) float.
        steps: after which to compare, each at most T.
    """
    after = np.array(steps) - 1
    running = twin.running[:, :, after]
    mine, its = (side.pose[:, :, after, :2] for side in (dream, twin))
    error = {"dream": _distance(mine, its), "constant motion": _distance(constant[:, None, after, :2], its)}
    measures = {"displacement": {name: _mean(weights, value, running) for name, value in error.items()}}
    counts = {"pairs": running.sum((0, 1)), "pairs_ended": (~running).sum((0, 1))}
    for more, based_on in (
        _effects(weights, mine, its, running),
        _orders(weights, mine, its, running, actions),
        _rankings(weights, *(side.reward.cumsum(-1)[..., after] for side in (dream, twin))),
    ):
        measures.update(more)
        counts.update(based_on)
    sideways = (mine - its)[:, 0, :, 1]
    measures["nothing"] = {
        **{f"displacement error, {name}": _mean(weights, e[:, 0], running[:, 0]) for name, e in error.items()},
        "sideways from the twin": _mean(weights, np.abs(sideways), running[:, 0]),
        "to the left of the twin": _mean(weights, sideways, running[:, 0]),
    }
    counts["nothing"] = running[:, 0].sum(0)
    return Responses(measures, {name: _by_action(weights, e, running) for name, e in error.items()}, counts)


def _effects(
    weights: np.ndarray, mine: np.ndarray, its: np.ndarray, running: np.ndarray
) -> tuple[dict[str, dict[str, Estimate]], dict[str, np.ndarray]]:
    """Direction and size of what an action changes, compared with doing nothing.

    The gain is the slope of the line through the origin that tells the dream's effect from the twin's: 1 if they are
    equal, less if the dream answers too weakly. Positions are (N, A, S, 2), `running` (N, A, S).
    """
    measures: dict[str, dict[str, Estimate]] = {"direction": {}, "gain": {}}
    counts = {}
    compared = running & running[:, :1]
    for name, axis, *_ in _DIRECTIONS:
        effect, true = (x[..., axis] - x[:, :1, :, axis] for x in (mine, its))
        clear = compared & (np.abs(true) > EFFECT)
        measures["direction"][name] = _mean(weights, np.sign(effect) == np.sign(true), clear)
        products = (np.where(compared, x, 0.0).sum(1) for x in (effect * true, true * true))
        measures["gain"][name] = Estimate.of(ratio(*(weights @ x for x in products)))
        counts[f"clear_{name}_effects"] = clear.sum((0, 1))
    return measures, counts


def _orders(
    weights: np.ndarray, mine: np.ndarray, its: np.ndarray, running: np.ndarray, actions: np.ndarray
) -> tuple[dict[str, dict[str, Estimate]], dict[str, np.ndarray]]:
    """Whether more of a control leads farther, on either side, and whether the sides agree on what leads farther.

    Moments count in which the control does move the twin.
    """
    order, counts = {}, {}
    for name, axis, control, column, sign in _DIRECTIONS:
        fan = _fan(actions, column)
        counted = running[:, fan].swapaxes(1, 2)
        # Differences of less than a centimetre are none.
        places = {
            side: (sign * x[..., axis])[:, fan].swapaxes(1, 2).round(2) for side, x in (("dream", mine), ("twin", its))
        }
        asked = np.broadcast_to(actions[fan, column], counted.shape)
        reach = np.where(counted, places["twin"], -np.inf).max(-1) - np.where(counted, places["twin"], np.inf).min(-1)
        ranks = {
            **{side: spearman(asked, x, counted) for side, x in places.items()},
            "dream with twin": spearman(places["dream"], places["twin"], counted),
        }
        judged = np.isfinite(ranks["twin"]) & (reach > EFFECT)
        for compared, rho in ranks.items():
            order[f"{control} and {name} displacement, {compared}"] = _mean(weights, rho, judged)
        counts[f"moments_moved_by_{control}"] = judged.sum(0)
    return {"order": order}, counts


def _rankings(
    weights: np.ndarray, mine: np.ndarray, true: np.ndarray
) -> tuple[dict[str, dict[str, Estimate]], dict[str, np.ndarray]]:
    """Whether the dream knows the better action, from returns (N, A, S), in moments in which there is one.

    Regret is what a choice gives away, as a share of what lies between the best and the worst action.
    """
    best, spread = true.max(1), np.ptp(true, axis=1)
    judged = spread >= SPREAD
    regret = (best[:, None] - true) / np.maximum(spread, SPREAD)[:, None]
    chosen = np.take_along_axis(regret, mine.argmax(1)[:, None], 1)[:, 0]
    single = np.where(judged[:, None], regret, 0.0).sum(0).argmin(0)
    pair = (mine.swapaxes(1, 2), true.swapaxes(1, 2))
    everything = np.ones(pair[0].shape, bool)
    ranking = {
        "Spearman": spearman(*pair, everything),
        "Kendall": kendall(*pair, everything),
        "regret of the dream's choice": chosen,
        "regret of a random choice": regret.mean(1),
        "regret of doing nothing": regret[:, 0],
        "regret of the best single action": np.stack([regret[:, a, s] for s, a in enumerate(single)], 1),
    }
    counts = {"ranked": judged.sum(0), "too_alike_to_rank": (~judged).sum(0)}
    return {"ranking": {name: _mean(weights, value, judged) for name, value in ranking.items()}}, counts


def _mean(weights: np.ndarray, values: np.ndarray, counted: np.ndarray) -> Estimate:
    """Over all that is `counted` of values (N, S) or (N, A, S): (S,)."""
    shape = (len(values), -1, values.shape[-1])
    sums = (x.reshape(shape).sum(1) for x in (np.where(counted, values, 0.0), counted))
    return Estimate.of(ratio(*(weights @ x for x in sums)))


def _by_action(weights: np.ndarray, values: np.ndarray, counted: np.ndarray) -> Estimate:
    """As `_mean`, for every action by itself: (A, S)."""
    n, *shape = values.shape
    sums = (x.reshape(n, -1) for x in (np.where(counted, values, 0.0), counted))
    return Estimate.of(ratio(*(weights @ x for x in sums)).reshape(-1, *shape))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.hypot(*np.moveaxis(a - b, -1, 0))


def _fan(actions: np.ndarray, column: int) -> np.ndarray:
    """Indices of the most numerous actions (A, 2) that differ in `column` only."""
    other = actions[:, 1 - column]
    values, numbers = np.unique(other, return_counts=True)
    return np.flatnonzero(other == values[numbers.argmax()])
