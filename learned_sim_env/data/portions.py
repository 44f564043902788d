"""What each recorded drive is for: training, validation or test; whole logs, or where there are few, parts in time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from learned_sim_env.data.splits import FEWEST_LOGS, SPLITS, splits_of_logs

# Shares of a log for training and for validation, the rest being for test; steps between them that are left out, and
# the fewest that are kept.
TRAIN, VALIDATION = 0.6, 0.2
GAP, FEWEST_STEPS = 20, 30


@dataclass(frozen=True)
class Portion:
    """Moments `first` to `last` of a drive, by its number, for one of `SPLITS`."""

    drive: int
    log: str
    split: str
    first: int
    last: int


def portions_of(drives: Sequence[tuple[str, str, int]]) -> list[Portion]:
    """Of drives (log, name, number of steps), in the order of logs and names.

    Of at least `FEWEST_LOGS` logs, each is in one split. Fewer are cut in time, with gaps, so that what is validated on
    is not trained on; it is the same road and day all the same.
    """
    by_log: dict[str, list[int]] = {log: [] for log in sorted({log for log, _, _ in drives})}
    for k in sorted(range(len(drives)), key=lambda k: (_natural(drives[k][1]), k)):
        by_log[drives[k][0]].append(k)
    steps = [count for _, _, count in drives]
    if len(by_log) < FEWEST_LOGS:
        return [portion for log, numbers in by_log.items() for portion in _in_time(log, numbers, steps)]
    splits = splits_of_logs(by_log)
    return [Portion(k, log, splits[log], 0, steps[k]) for log, numbers in by_log.items() for k in numbers]


def _in_time(log: str, numbers: Sequence[int], steps: Sequence[int]) -> Iterator[Portion]:
    """Of the drives of one log, one after the other."""
    total = sum(steps[k] for k in numbers)
    ends = (round(TRAIN * total), round((TRAIN + VALIDATION) * total), total)
    begin = 0
    for k in numbers:
        for split, after, end in zip(SPLITS, (-GAP, *ends), ends):
            first, last = max(0, after + GAP - begin), min(steps[k], end - begin)
            if last - first >= FEWEST_STEPS:
                yield Portion(k, log, split, first, last)
        begin += steps[k]


def too_few(portions: Sequence[Portion]) -> str:
    """A sentence about how few logs there are, "" where there are enough."""
    logs = {p.log for p in portions}
    if len(logs) >= FEWEST_LOGS or not logs:
        return ""
    missing = [split for split in SPLITS if split not in {p.split for p in portions}]
    said = (
        f"{len(logs)} {'log is' if len(logs) == 1 else 'logs are'} too few to keep whole ones apart, {FEWEST_LOGS} are "
        f"needed: the first {TRAIN:.0%} of each is for training, the rest for validation and test, {GAP} steps apart; "
        "how well a model does there says little of other roads"
    )
    return said + (f"; for {' and '.join(missing)} there is nothing, drives are too short" if missing else "")


def _natural(name: str) -> list[tuple[int, str]]:
    """To sort "a/10" after "a/9"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
