"""Places `envs/`, `checkpoints/`, `recipes/` and `suites/` inside the built package, where `learned_sim_env.resources`
looks for them.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithData(build_py):
    """`build_py` that adds the data folders of the project's root as `learned_sim_env/_data`."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # reads the folders of the checkout itself
            return
        data = Path(self.build_lib, "learned_sim_env", "_data")
        shutil.rmtree(data, ignore_errors=True)  # a build folder that is used again may hold what has been deleted
        for folder in ("envs", "checkpoints", "recipes", "suites"):
            shutil.copytree(folder, data / folder)


setup(cmdclass={"build_py": BuildWithData})
