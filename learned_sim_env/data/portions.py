"""What each recorded drive is for: training, validation or test; whole logs, or where there are few, parts in time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from learned_sim_env.data.splits import FEWEST_LOGS, SPLITS, splits_of_logs

# Share of a log that is held out for validation, and as much for test; steps that are left out before each, and the
# fewest of a part: enough for a context and what follows it.
HELD_OUT = 0.2
GAP, FEWEST_STEPS = 20, 30


@dataclass(frozen=True)
class Length:
    """A drive called `name`, of so many `steps`, in `log`; lacking: what of `looking.LACKING` holds of it."""

    log: str
    name: str
    steps: int
    lacking: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Portion:
    """Moments `first` to `last` of a drive, by its number, for one of `SPLITS`. cut: whether its log is in several."""

    drive: int
    log: str
    split: str
    first: int
    last: int
    cut: bool = False


def portions_of(drives: Sequence[Length]) -> list[Portion]:
    """In the order of logs and names.

    Logs that lack a map or others are useless to models that need these, so that this holds of logs that lack the same:
    of at least `FEWEST_LOGS`, each is in one split; fewer are cut in time, with gaps, so that what is validated on is
    not trained on. It is the same road and day all the same.
    """
    by_log: dict[str, list[int]] = {log: [] for log in sorted({d.log for d in drives})}
    for k in sorted(range(len(drives)), key=lambda k: (_natural(drives[k].name), k)):
        by_log[drives[k].log].append(k)
    groups: dict[frozenset[str], list[str]] = {}
    for log, numbers in by_log.items():
        lacking = frozenset[str]().union(*(drives[k].lacking for k in numbers))
        groups.setdefault(lacking & {"map", "others"}, []).append(log)
    splits: dict[str, str] = {}
    for logs in groups.values():
        splits.update(splits_of_logs(logs) if len(logs) >= FEWEST_LOGS else {})
    steps, found = [d.steps for d in drives], list[Portion]()
    for log, numbers in by_log.items():
        if log in splits:
            found += [Portion(k, log, splits[log], 0, steps[k]) for k in numbers]
        else:
            found += _in_time(log, numbers, steps)
    return found


def _in_time(log: str, numbers: Sequence[int], steps: Sequence[int]) -> Iterator[Portion]:
    """Of the drives of one log, one after the other."""
    begin, parts = 0, _parts(sum(steps[k] for k in numbers))
    for k in numbers:
        for split, (start, end) in zip(SPLITS, parts):
            first, last = max(0, start - begin), min(steps[k], end - begin)
            if last - first >= FEWEST_STEPS:
                yield Portion(k, log, split, first, last, cut=True)
        begin += steps[k]


def _parts(total: int) -> list[tuple[int, int]]:
    """First and last of so many steps for training, and, as far as there is enough, for validation and for test."""
    held_out = max(FEWEST_STEPS, round(HELD_OUT * total))
    ends: tuple[int, ...] = (total,)
    if total >= 3 * held_out + 2 * GAP:
        ends = (total - 2 * (held_out + GAP), total - held_out - GAP, total)
    elif total >= 2 * FEWEST_STEPS + GAP:
        ends = (total - FEWEST_STEPS - GAP, total)
    return [(0, ends[0]), *((before + GAP, end) for before, end in pairwise(ends))]


def too_few(portions: Sequence[Portion]) -> str:
    """A sentence about logs that are cut, "" where there are none."""
    cut = [p for p in portions if p.cut]
    if not cut:
        return ""
    logs, missing = {p.log for p in cut}, [s for s in SPLITS if s not in {p.split for p in portions}]
    said = (
        f"{len(logs)} {'log is' if len(logs) == 1 else 'logs are'} too few of a kind to keep whole ones apart, "
        f"{FEWEST_LOGS} are needed: the first part of each is for training, the rest for validation and test, "
        f"{GAP} steps apart; how well a model does there says little of other roads"
    )
    return said + (f"; there is nothing for {' and '.join(missing)}, as drives are too short" if missing else "")


def _natural(name: str) -> list[tuple[int, str]]:
    """To sort "a/10" after "a/9"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
