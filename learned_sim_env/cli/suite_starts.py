"""The suite that a command names, with all that a checkpoint has to see of its starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learned_sim_env.harness.engine.start_pictures import StartPictures
    from learned_sim_env.harness.engine.suite import Suite
    from learned_sim_env.world_model.checkpoint import Checkpoint


def open_suite(
    name_or_path: str, checkpoint: Checkpoint, folder: Path, workers: int
) -> tuple[Suite, StartPictures | None]:
    """A suite, and what draws its starts in other appearances; None where nothing does.

    What the model observes and the suite does not hold, cameras above all, is drawn by the twin, once.

    Args:
        name_or_path: of the suite.
        checkpoint: of the model.
        folder: where pictures of starts are kept.
        workers: simulator processes.

    Raises:
        FileNotFoundError, ValueError: see `Suite.load`.
        ImportError: if the twin has to draw and is not installed.
        RuntimeError: if it does not come to a start.
    """
    from tqdm import tqdm

    from learned_sim_env.cli.checkpoint_env import env_id_for
    from learned_sim_env.harness.engine.start_pictures import StartPictures
    from learned_sim_env.harness.engine.suite import Suite
    from learned_sim_env.twins.pairing import twin_settings

    suite, contract = Suite.load(name_or_path), checkpoint.contract
    try:
        env_id = env_id_for(checkpoint)
        twin_settings(env_id)
    except ValueError:
        # No environment, or none with a twin: the starts are what they are.
        return suite, None
    observes = checkpoint.model.observes
    cameras = [name for name in observes if contract.modality(name).kind == "rgb"]
    lacking = [name for name in observes if name not in suite.starts.observations]
    names = tuple(dict.fromkeys((*cameras, *lacking)))
    if not names:
        return suite, None
    pictures = StartPictures(env_id, suite.starts, names, folder, workers)
    if lacking:
        if pictures.lacking is not None and not pictures.kept:
            raise ImportError(
                f"{checkpoint.name} observes {', '.join(lacking)}, which suite {suite.name} does not hold, and "
                f"{pictures.lacking}: install it, or draw a suite from recorded episodes that have them"
            )
        with tqdm(total=len(suite.starts), desc="starts", unit="start", disable=None) as bar:
            suite = replace(suite, starts=pictures.completed(lacking, bar.update))
    return suite, pictures


def undrawable(pictures: StartPictures | None, rows: Iterable[int]) -> str | None:
    """Why some starts, rows of the suite's, cannot be drawn in another appearance; None if they can."""
    return "no simulator draws its starts" if pictures is None else pictures.unfit(rows)
