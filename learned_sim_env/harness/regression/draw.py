"""Drawing a suite of scenarios from recorded episodes."""

from __future__ import annotations

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.harness.engine.suite import Suite, SuiteScenario
from learned_sim_env.harness.regression.labels import LABELS, expected_of, labels_of
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.world_model.contexts import CONTEXT_STEPS, Contexts

HORIZON = 100
# Scenarios that are drawn for each kind, moments of one episode that are at least so many steps apart, and how much
# has to follow them.
EACH, APART, AFTER = 12, 15, 20
STRIDE = 5
# By how much a metric may be worse than the baseline's; see `regression.metrics`.
LIMITS = {
    "collision": 0.03,
    "violation": 0.03,
    "success": 0.03,
    "ade": 1.0,
    "fde": 2.0,
    "progress": 3.0,
    "jerk": 1.0,
    "min_ttc": 0.3,
}


def draw(data: PackedData, each: int = EACH, name: str = "driving") -> Suite:
    """A suite of `each` scenarios of every kind, rarest kind first, spread over the episodes.

    A scenario that is of several kinds counts for all of them, but no kind is drawn less often than the data allows. Of
    recordings, which are few and short, kinds may be missing, and scenarios last no longer than they.

    Raises:
        ValueError: if an episode is not of the test split, or simulated data lack a kind.
    """
    test = set(data.split("test").seeds.tolist())
    for seed in data.seeds:
        if int(seed) not in test:
            raise ValueError(f"episode {seed} is not of the test split: a model may have been trained on it")
    recorded = bool((data.logs != "").any())
    data = data.having(("bev", "ego", "events", "agents", "tags", "route")) if recorded else data
    moments = {
        (e, m): labels
        for e in range(len(data))
        for m in range(CONTEXT_STEPS, int(data.lengths[e]) - AFTER, STRIDE)
        if data.known("actions", slice(int(data.starts[e]) + m - CONTEXT_STEPS + 1, int(data.starts[e]) + m + 1)).all()
        and (labels := labels_of(data, e, m))
    }
    pools = {label: [place for place, labels in moments.items() if label in labels] for label in LABELS}
    for label, pool in pools.items():
        if not pool and not recorded:
            raise ValueError(f"no moment of {len(data)} episodes is of the kind {label!r}: give more episodes")
    rng, chosen = np.random.default_rng(0), dict[tuple[int, int], str]()
    for label in sorted(LABELS, key=lambda label: len(pools[label])):
        for place in _spread(pools[label], set(chosen), each, rng):
            chosen[place] = label
    places = sorted(chosen, key=lambda place: (LABELS.index(chosen[place]), place))
    counts = dict.fromkeys(LABELS, 0)
    if not places:
        raise ValueError(
            f"{len(data)} episodes have no moment of a kind ({', '.join(LABELS)}): give more, or longer ones"
        )
    paths, steps = zip(*(_path(data, *place) for place in places))
    scenarios = []
    for i, place in enumerate(places):
        counts[chosen[place]] += 1
        labels = moments[place]
        scenarios.append(
            SuiteScenario(
                name=f"{chosen[place]}-{counts[chosen[place]]:02d}",
                tags=labels,
                start=i,
                seed=1000 + i,
                horizon=steps[i] if recorded else HORIZON,
                expected=expected_of(labels),
            )
        )
    return Suite(name, tuple(scenarios), _starts(data, places), np.stack(paths), np.array(steps), dict(LIMITS))


def _spread(
    pool: list[tuple[int, int]], taken: set[tuple[int, int]], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """At most `count` of the pool, one an episode as long as there are others, none near to one that is taken."""
    found: list[tuple[int, int]] = []
    order = [pool[i] for i in rng.permutation(len(pool))]
    while order and len(found) < count:
        uses = {e: sum(e == other for other, _ in found) for e, _ in order}
        order = [p for p in order if not any(p[0] == e and abs(p[1] - m) < APART for e, m in (*taken, *found))]
        if order:
            found.append(min(order, key=lambda p: uses[p[0]]))
    return found


def _starts(data: PackedData, places: list[tuple[int, int]]) -> Contexts:
    a = data.arrays
    first = data.starts[[e for e, _ in places]]
    last = first + np.array([m for _, m in places])
    rows = last[:, None] + np.arange(1 - CONTEXT_STEPS, 1)
    replay = [a["actions"][f + 1 : until + 1] for f, until in zip(first, last)]
    return Contexts(
        {name: data.read(name, rows) for name in data.modalities if data.known(name, rows).all()},
        actions=a["actions"][rows],
        tags=a["tags"][last],
        scenarios=data.seeds[[e for e, _ in places]].astype(np.int64),
        replay=np.concatenate(replay),
        replay_starts=np.cumsum([0, *map(len, replay)]),
    )


def _path(data: PackedData, episode: int, moment: int) -> tuple[np.ndarray, int]:
    """(HORIZON, 3) float32 the recorded drive after a moment, in the ego's frame then, and how long it was."""
    first = int(data.starts[episode])
    rows = np.arange(first + moment + 1, first + int(data.lengths[episode]))[:HORIZON]
    pose, start = data.arrays["ego_pose"][rows], data.arrays["ego_pose"][first + moment]
    path = np.column_stack([to_frame(pose[:, :2], start), wrap_angle(pose[:, 2] - start[2])])
    return np.pad(path, ((0, HORIZON - len(rows)), (0, 0)), mode="edge").astype(np.float32), len(rows)
