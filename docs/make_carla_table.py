"""Run CARLA's own examples and tests against the stand-in, unchanged, and write what came of it into docs/carla.md.

    python docs/make_carla_table.py --python-api carla/PythonAPI

Needs [carla], CARLA's repository (its folder `PythonAPI`), what the examples need themselves, and the ports 2000 and
3654, which are written into them. One row takes some seconds, all of them twenty minutes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.files import write_text

DOCUMENT = Path(__file__).with_name("carla.md")
BEGIN, END = "<!-- examples: begin -->\n", "<!-- examples: end -->\n"
# [s] an example may take that ends by itself, and one that was asked to stop.
PATIENCE, FAREWELL = 300.0, 15.0
# Characters of an error that are shown.
LONGEST = 160
# Counts actors by kind, in a process of its own: a client can be brought down.
COUNT = """
import carla, collections, json
world = carla.Client("127.0.0.1", 2000).get_world()
world.wait_for_tick(20.0)
print(json.dumps(collections.Counter(actor.type_id.partition(".")[0] for actor in world.get_actors())))
"""


@dataclass(frozen=True)
class Example:
    """One script of CARLA's.

    seconds: after which it is interrupted, 0 if it ends by itself. shows: what its output must hold. actors: least
    number of each kind while it runs. why: it does not work, if it does not.
    """

    script: str
    arguments: str = ""
    seconds: float = 0.0
    shows: str = ""
    actors: tuple[tuple[str, int], ...] = ()
    why: str = ""

    @property
    def command(self) -> str:
        """As it was typed."""
        return f"{self.script} {self.arguments}".strip()

    @property
    def port(self) -> int:
        """That is written into it."""
        return 3654 if self.script.startswith("test/") else 2000

    def argv(self) -> tuple[list[str], str]:
        """What Python is started with, and in which folder."""
        if self.script.startswith("test/"):
            return ["-m", "unittest", self.script[5:-3].replace("/", ".")], "test"
        return ["-u", self.script, *shlex.split(self.arguments)], ""


def actors(**kinds: int) -> tuple[tuple[str, int], ...]:
    """Least numbers by kind."""
    return tuple(kinds.items())


SMOKE_TESTS = (
    *(
        "blueprint",
        "client",
        "collision_determinism",
        "collision_sensor",
        "determinism",
        "geoconversion",
        "lidar",
        "map",
    ),
    *("props_loading", "sensor_determinism", "sensor_tick_time", "snapshot", "spawnpoints", "streamming", "sync"),
    *("vehicle_physics", "world"),
)
WHY = {
    "collision_sensor": "there is no wall to drive against",
    "geoconversion": "the test is of a later client",
    **dict.fromkeys(("map", "spawnpoints", "vehicle_physics"), "of CARLA's towns there is one, in name"),
}
NO_RECORDER, NO_NAVIGATION = "there is no recorder", "there is no navigation mesh to find a place for a walker"
CAR, DRIVER = actors(vehicle=1), actors(vehicle=1, sensor=4)
EXAMPLES = (
    Example("examples/automatic_control.py", "--sync", 15, actors=DRIVER),
    Example("examples/automatic_control.py", "--agent Basic --sync", 15, actors=DRIVER),
    Example("examples/automatic_control.py", "--agent Constant --sync", 15, actors=DRIVER),
    Example("examples/bounding_boxes.py", "", 15, actors=actors(vehicle=1, sensor=2)),
    Example("examples/client_bounding_boxes.py", "", 10, actors=actors(vehicle=1, sensor=1)),
    Example("examples/draw_skeleton.py", "", 10, actors=actors(walker=1, sensor=1), why=NO_NAVIGATION),
    Example("examples/dynamic_weather.py", "", 8, shows=r"Sun\("),
    Example("examples/generate_traffic.py", "-n 20 -w 5 --seed 1", 15, "spawned 20 vehicles", actors(vehicle=20)),
    Example("examples/generate_traffic.py", "-n 20 -w 5 --asynch", 15, "spawned 20 vehicles", actors(vehicle=20)),
    Example("examples/get_component_test.py", why="vehicles have no parts"),
    Example("examples/invertedai_traffic.py", "", 15, actors=CAR, why="a service of others drives, for a key"),
    Example("examples/lidar_to_camera.py", "--frames 5"),
    Example("examples/manual_control.py", "", 15, actors=DRIVER),
    Example("examples/manual_control.py", "--sync --autopilot", 15, actors=DRIVER),
    Example("examples/manual_control_carsim.py", "", 15, actors=DRIVER),
    Example("examples/manual_control_chrono.py", "", 15, actors=DRIVER),
    Example("examples/manual_control_steeringwheel.py", "", 15, actors=DRIVER, why="no wheel is plugged in"),
    Example("examples/no_rendering_mode.py", "", 15),
    Example("examples/open3d_lidar.py", "", 15, actors=actors(vehicle=1, sensor=1), why="Open3D wants a display"),
    Example("examples/sensor_synchronization.py", "", 8, r"Frame: \d+ +Sensor: radar02", actors(sensor=7)),
    Example("examples/show_recorder_actors_blocked.py", why=NO_RECORDER),
    Example("examples/show_recorder_collisions.py", why=NO_RECORDER),
    Example("examples/show_recorder_file_info.py", why=NO_RECORDER),
    Example("examples/start_recording.py", "-t 5", shows="spawned 10 vehicles", why=NO_RECORDER),
    Example("examples/start_replaying.py", "-f test1.log", why="the script is of a later client; " + NO_RECORDER),
    Example("examples/synchronous_mode.py", "", 10, actors=actors(vehicle=1, sensor=2)),
    Example("examples/tutorial.py", shows="done"),
    Example("examples/tutorial_gbuffer.py", shows="done", why="there are no G-buffers"),
    Example("examples/V2XDemo.py", "", 15, actors=DRIVER),
    Example("examples/vehicle_gallery.py", "", 15, shows=r"vehicle\.", actors=CAR),
    Example("examples/vehicle_physics.py"),
    Example("examples/visualize_multiple_sensors.py", "", 15, actors=actors(vehicle=1, sensor=6)),
    Example("util/apply_texture.py", "--list"),
    Example("util/check_collisions_substepping.py"),
    Example("util/check_lidar_bb.py"),
    Example("util/check_map.py", shows=r"Crosswalks found: [1-9]"),
    Example("util/check_raycast_sensors_determinism.py"),
    Example("util/config.py", "--inspect", shows="GridTown"),
    Example("util/config.py", "--map RingTown --delta-seconds 0.05 --list", shows="ClearSunset"),
    Example("util/config.py", "--reload-map --list", shows="ClearSunset"),
    Example("util/config.py", "--xodr-path GridTown.xodr --list", shows="ClearSunset"),
    Example("util/config.py", "--weather ClearSunset --list", shows="ClearSunset"),
    Example("util/config.py", "--list-blueprints vehicle.*", shows="tesla"),
    Example("util/environment.py", "--sun sunset --weather rain --cars LowBeam --lights on"),
    Example("util/extract_spawn_points.py", "-o ."),
    Example("util/lane_explorer.py", "--info", 8, shows="Initial location"),
    Example("util/performance_benchmark.py", "--maps Town01 --tm", shows="fps_mean"),
    Example("util/raycast_sensor_testing.py", "--sync -ln 1 -sln 1 -rn 1", 15, actors=actors(vehicle=1, sensor=4)),
    Example("util/test_connection.py", shows=r"0\.9\.16 connected"),
    Example("util/vehicle_physics_tester.py", "--all --filter model3"),
    *(Example(f"test/smoke/test_{name}.py", why=WHY.get(name, "")) for name in SMOKE_TESTS),
)


@dataclass(frozen=True)
class Args:
    """Run CARLA's examples and tests on the stand-in and write the table in docs/carla.md."""

    python_api: Path
    """CARLA's folder PythonAPI, with examples, util, test and carla/agents."""
    only: str = ""
    """Run only the commands that hold this text, show what they print, and replace their rows."""


def run(example: Example, folder: Path) -> tuple[str, str]:
    """(what came of it, what the stand-in had to say) of one example, on a stand-in of its own."""
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "MPLBACKEND": "agg"}
    # Where a script loads one of CARLA's towns, GridTown takes its place.
    town = folder / f"{_town(example, folder)}.xodr"
    town.write_text(TOWNS["GridTown"]())
    standin = [sys.executable, "-m", "learned_sim_env.carla_standin", "--map", str(town)]
    standin += ["--port", str(example.port)]
    with (folder / "standin.txt").open("w+") as said, (folder / "said.txt").open("w+") as output:
        server = subprocess.Popen(standin, stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            assert server.stdout is not None
            if not server.stdout.readline().startswith("listening"):
                raise SystemExit(f"error: the stand-in does not start; port {example.port} must be free")
            environment["PYTHONPATH"] = str(folder / "carla")
            arguments, place = example.argv()
            command = [sys.executable, *arguments]
            program = subprocess.Popen(
                command,
                cwd=folder / place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            counted, interrupted = _wait(program, example)
        finally:
            server.kill()
            server.wait()
        output.seek(0)
        said.seek(0)
        text = output.read()
        notes = [line.partition("carla_standin: ")[2].strip() for line in said if "carla_standin: " in line]
    return _verdict(example, program.returncode, text, counted, interrupted), _grouped(notes)


def _grouped(notes: list[str]) -> str:
    """The stand-in's log in few words: what was said, and once for all calls of which it was said."""
    groups: dict[str, list[str]] = {}
    for note in notes:
        name, _, text = note.partition(": ")
        groups.setdefault(text, []).append(f"`{name}`" if " " not in name else name)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in groups.items())


def _town(example: Example, folder: Path) -> str:
    """The town that a script loads, GridTown if none."""
    if example.script.startswith("test/"):
        return "Town03"
    for text in (example.arguments, (folder / example.script).read_text()):
        if found := re.search(r"(?:--maps |load_world\(.)(Town\w+)", text):
            return found[1]
    return "GridTown"


def _wait(program: subprocess.Popen, example: Example) -> tuple[dict[str, int], bool]:
    """Numbers of actors by kind just before the end, and whether the end had to be asked for."""
    counted: dict[str, int] = {}
    try:
        program.wait(example.seconds or PATIENCE)
        return counted, False
    except subprocess.TimeoutExpired:
        pass
    if example.actors:
        done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, timeout=60)
        counted = json.loads(done.stdout) if done.returncode == 0 else {}
    program.send_signal(signal.SIGINT)
    try:
        program.wait(FAREWELL)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
    return counted, True


def _verdict(example: Example, code: int, text: str, counted: dict[str, int], interrupted: bool) -> str:
    """Say "works", or what stopped it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "it says nothing"
    errors = [i for i, line in enumerate(lines) if re.match(r"ERROR|(\w+\.)*\w*(Error|Exception|Empty)\b", line)]
    if errors:
        # Boost goes on in the next line.
        return " ".join(lines[errors[-1] :][: 2 if "ArgumentError" in lines[errors[-1]] else 1])[:LONGEST]
    if code == -signal.SIGKILL:
        return "does not stop when it is interrupted"
    aborted = code < 0 and code != -signal.SIGINT
    if aborted and not interrupted:
        died = [line for line in lines if line.startswith(("terminate called", "what():"))]
        return f"the client dies ({signal.Signals(-code).name}): {' '.join(died[-2:]) or last}"
    if not interrupted and (code or example.seconds):
        return f"ends after less than {example.seconds:g} s with status {code}: {last}"
    if interrupted and not example.seconds:
        return f"has not ended after {PATIENCE:g} s"
    if example.shows and not re.search(example.shows, text):
        return f"does not say '{example.shows}': {last}"
    for kind, least in example.actors:
        if counted.get(kind, 0) < least:
            return f"{counted.get(kind, 0)} of {least} actors: {kind}"
    return "works; the client aborts as it is interrupted" if aborted else "works"


def main(args: Args) -> None:
    """Run all, or some, and write the table."""
    # A shell starts what runs in the background with interrupts ignored, and the examples would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = {row.split("|")[1].strip(" `"): row for row in table.splitlines()[2:]}
    for example in EXAMPLES:
        if args.only not in example.command:
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "PythonAPI"
            for part in ("examples", "util", "test", "carla/agents"):
                shutil.copytree(args.python_api / part, folder / part)
            came, notes = run(example, folder)
            if args.only:
                print((folder / "said.txt").read_text())
        if example.why and not came.startswith("works"):
            came = f"{example.why}: {came}"
        rows[example.command] = f"| `{example.command}` | {came} | {notes} |"
        print(rows[example.command], flush=True)
    kept = [rows[example.command] for example in EXAMPLES if example.command in rows]
    head = "| example | what came of it | what the stand-in notes |\n|---|---|---|\n"
    write_text(DOCUMENT, before + BEGIN + head + "".join(f"{row}\n" for row in kept) + END + after)


if __name__ == "__main__":
    main(tyro.cli(Args))
