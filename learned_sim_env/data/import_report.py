"""What an import found in all files: numbers for `report.json`, lines for a terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from learned_sim_env.data.import_page import found_in_words, passed_over_in_words, sentences_of
from learned_sim_env.data.portions import Length, Portion, portions_of, too_few
from learned_sim_env.data.splits import SPLITS
from learned_sim_env.recordings.checks import BINS
from learned_sim_env.recordings.looking import Look
from learned_sim_env.spec import SCENARIO_TAGS

# Sentences about what was refused that are printed.
SHOWN = 50


@dataclass(frozen=True)
class Report:
    """What all files turned into.

    broken: by file, why it could not even be refused. passed_over: by the ending of their names, how many files beside
    them are no recordings.
    """

    looks: tuple[Look, ...]
    broken: dict[str, str]
    passed_over: dict[str, int] = field(default_factory=dict)

    @cached_property
    def portions(self) -> list[Portion]:
        """What drives are for."""
        drives = [d for look in self.looks for d in look.drives]
        return portions_of([Length(d["log"], d["name"], d["steps"], frozenset(d["lacking"])) for d in drives])

    @property
    def failed(self) -> bool:
        """Whether anything was refused."""
        return bool(self.broken) or any(look.refused for look in self.looks)

    def to_dict(self) -> dict:
        """JSON-ready."""
        drives = [drive for look in self.looks for drive in look.drives]
        return {
            "files": len(self.looks) + len(self.broken),
            "drives": len(drives),
            "frames": sum(drive["steps"] for drive in drives),
            "lacking": dict(Counter(lack for drive in drives for lack in drive["lacking"])),
            "tags": {tag: sum(d["tags"][tag] * d["steps"] for d in drives if d["tags"]) for tag in SCENARIO_TAGS},
            "histograms": {
                name: np.sum([d["histograms"][name] for d in drives], axis=0, dtype=int).tolist() if drives else []
                for name in BINS
            },
            "hours": sum(look.seconds for look in self.looks) / 3600,
            "formats": dict(Counter(look.format for look in self.looks)),
            "sources": {
                action: dict(Counter(drive["sources"][k] for drive in drives))
                for k, action in enumerate(("steer", "throttle_brake"))
            },
            "splits": {
                split: {
                    "logs": sorted({p.log for p in self.portions if p.split == split}),
                    "frames": sum(p.last - p.first for p in self.portions if p.split == split),
                }
                for split in SPLITS
            },
            "looks": [look.to_dict() for look in self.looks],
            "broken": self.broken,
            "passed_over": self.passed_over,
        }

    def __str__(self) -> str:
        told = self.to_dict()
        rows = [found_in_words(told)]
        rows += ["  " + ", ".join(f"{told['splits'][s]['frames']} frames for {s}" for s in SPLITS)]
        rows += [f"  {few}"] if (few := too_few(self.portions)) else []
        for sentence, names in sentences_of(told):
            rows.append(f"  {names[0] if len(names) == 1 else f'{len(names)} recordings'}: {sentence}")
        if self.passed_over:
            rows.append(f"  beside them, no recordings themselves: {passed_over_in_words(self.passed_over)}")
        refused = [sentence for look in self.looks for sentence in look.refused]
        refused += [f"{file}: {reason.strip().splitlines()[-1]}" for file, reason in self.broken.items()]
        if refused:
            rows += ["refused:", *(f"  {sentence}" for sentence in refused[:SHOWN])]
        if len(refused) > SHOWN:
            rows.append(f"  and {len(refused) - SHOWN} more, see report.json")
        return "\n".join(rows)
