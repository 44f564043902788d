"""What a collection holds, counted over its episodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learned_sim_env.data.episode import Episode
from learned_sim_env.spec import NUM_CLASSES, SCENARIO_TAGS, SemanticClass

ACTION_EDGES = np.linspace(-1.0, 1.0, 11)


@dataclass
class Summary:
    """Counts over episodes; `add` each. failed: reason by skipped seed. frames_per_second: of this run, all workers."""

    failed: dict[int, str] = field(default_factory=dict)
    frames_per_second: float = 0.0
    episodes: int = 0
    frames: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    behaviour_episodes: Counter[str] = field(default_factory=Counter)
    behaviour_frames: Counter[str] = field(default_factory=Counter)
    tags: np.ndarray = field(default_factory=lambda: np.zeros(len(SCENARIO_TAGS), np.int64))
    classes: np.ndarray = field(default_factory=lambda: np.zeros(NUM_CLASSES, np.int64))
    steer: np.ndarray = field(default_factory=lambda: np.zeros(len(ACTION_EDGES) - 1, np.int64))
    throttle_brake: np.ndarray = field(default_factory=lambda: np.zeros(len(ACTION_EDGES) - 1, np.int64))

    def add(self, episode: Episode) -> None:
        """Count one episode."""
        self.episodes += 1
        self.frames += len(episode)
        self.ends[episode.end_reason] += 1
        self.behaviour_episodes[episode.behaviour] += 1
        self.behaviour_frames[episode.behaviour] += len(episode)
        if episode.tags is not None:
            self.tags += episode.tags[1:].sum(0)
        if "bev" in episode.observations:
            self.classes += np.bincount(episode.observations["bev"].ravel(), minlength=NUM_CLASSES)
        self.steer += np.histogram(episode.actions[:, 0], ACTION_EDGES)[0]
        self.throttle_brake += np.histogram(episode.actions[:, 1], ACTION_EDGES)[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; shares are fractions of all frames, pixels or actions."""
        frames = max(self.frames, 1)
        return {
            "episodes": self.episodes,
            "frames": self.frames,
            "frames_per_second": round(self.frames_per_second, 1),
            "ends": dict(self.ends),
            "behaviours": {
                name: {"episodes": count, "frames": self.behaviour_frames[name]}
                for name, count in sorted(self.behaviour_episodes.items())
            },
            "tag_shares": {tag: _share(n, frames) for tag, n in zip(SCENARIO_TAGS, self.tags, strict=True)},
            "class_shares": {c.name.lower(): _share(self.classes[c], self.classes.sum()) for c in SemanticClass},
            "action_edges": [round(float(edge), 2) for edge in ACTION_EDGES],
            "steer_shares": [_share(n, frames) for n in self.steer],
            "throttle_brake_shares": [_share(n, frames) for n in self.throttle_brake],
            "failed_seeds": {str(seed): reason for seed, reason in sorted(self.failed.items())},
        }

    def __str__(self) -> str:
        d = self.to_dict()
        lines = [f"{self.episodes} episodes, {self.frames} frames, {self.frames_per_second:.0f} frames/s in this run"]
        for name, count in d["behaviours"].items():
            lines.append(f"  {name:<14}{count['episodes']:>6} episodes {count['frames']:>8} frames")
        for name in ("ends", "tag_shares", "class_shares", "steer_shares", "throttle_brake_shares"):
            items = d[name].items() if isinstance(d[name], dict) else zip(d["action_edges"], d[name], strict=False)
            lines.append(f"{name}: " + ", ".join(f"{key} {value}" for key, value in items))
        lines.append(f"failed seeds: {', '.join(map(str, sorted(self.failed))) or 'none'}")
        return "\n".join(lines)


def _share(count: float, total: float) -> float:
    return round(float(count) / max(float(total), 1.0), 5)
