"""CARLA's remote procedures on the stand-in's world: session, map, settings and lights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.blueprints import BLUEPRINTS, UIDS
from learned_sim_env.carla_standin.registry import CALLS, Call, call
from learned_sim_env.carla_standin.wire import Refused

# [s] of a step and of a sub-step, and number of sub-steps, that the settings can ask for; CARLA has no more of them.
LONGEST_STEP, SHORTEST_SUBSTEP, MOST_SUBSTEPS = 10.0, 1e-3, 16

if TYPE_CHECKING:
    from learned_sim_env.carla_standin.server import Server


@call("version")
def _version(server: Server) -> str:
    return server.faults.version


@call("get_episode_info")
def _episode_info(server: Server) -> list:
    return [server.world.episode, [server.token(wire.WORLD_STREAM)]]


@call("get_sensor_token")
def _sensor_token(server: Server, stream: int) -> list:
    server.streams.expect(stream)
    return [server.token(stream)]


@call("get_episode_settings")
def _settings(server: Server) -> list:
    return server.world.settings


@call("set_episode_settings")
def _set_settings(server: Server, changed: list) -> int:
    settings = [*changed, *server.world.settings[len(changed) :]]
    chosen, *seconds = settings[2]
    if chosen and not 0.0 <= seconds[0] <= LONGEST_STEP:
        raise Refused(f"fixed_delta_seconds of {seconds[0]:g}: must be from 0 to {LONGEST_STEP:g}")
    if not chosen or not seconds[0]:
        settings[2] = [False]
    settings[4], settings[5] = max(settings[4], SHORTEST_SUBSTEP), int(wire.within(settings[5], 1, MOST_SUBSTEPS))
    return server.set_mode(settings)


@call("tick_cue")
def _tick(server: Server) -> int:
    return server.tick()


@call("get_available_maps")
def _maps(server: Server) -> list[str]:
    return [f"/Game/Carla/Maps/{name}" for name in server.maps]


@call("load_new_episode", nothing=True)
def _load(server: Server, name: str, reset_settings: bool = True, layers: int = 0) -> None:
    server.load(name.rpartition("/")[2], reset_settings)


@call("copy_opendrive_to_file", nothing=True)
def _copy_opendrive(server: Server, xodr: str, parameters: Any = None) -> None:
    server.maps["OpenDriveMap"] = lambda: xodr


@call("get_map_info")
def _map_info(server: Server) -> list:
    roads = server.world.roads
    return [f"Carla/Maps/{roads.name}", [wire.transform(point) for point in roads.spawn_points]]


@call("get_map_data")
def _map_data(server: Server) -> str:
    return server.world.roads.xodr


@call("get_required_files")
def _required_files(server: Server, folder: str = "", *_: Any) -> list:
    return []


@call("request_file")
def _request_file(server: Server, name: str) -> bytes:
    raise Refused(f"no file {name}: the stand-in keeps none")


@call("get_navigation_mesh")
def _navigation_mesh(server: Server) -> bytes:
    return b""


@call("query_lights_state")
def _street_lights(server: Server, client: str) -> list:
    return []


@call("get_actor_definitions")
def _definitions(server: Server) -> list:
    return [blueprint.record(UIDS[name]) for name, blueprint in BLUEPRINTS.items()]


@call("get_weather_parameters")
def _weather(server: Server) -> list:
    return server.world.weather


@call("set_weather_parameters", nothing=True)
def _set_weather(server: Server, weather: list) -> None:
    server.world.weather = [float(value) for value in weather]


@call("get_environment_objects")
@call("get_all_level_BBs")
def _no_scenery(server: Server, tag: int) -> list:
    return []


@call("get_names_of_all_objects")
def _no_names(server: Server) -> list:
    return []


@call("load_map_layer", nothing=True, idle=True)
@call("unload_map_layer", nothing=True, idle=True)
@call("enable_environment_objects", nothing=True, idle=True)
@call("draw_debug_shape", nothing=True, idle=True)
@call("clear_debug_shape", nothing=True, idle=True)
@call("clear_debug_string", nothing=True, idle=True)
@call("update_lights_state", nothing=True, idle=True)
def _ignored(server: Server, *_: Any) -> None:
    """Nothing to see in a world without scenery."""


@call("project_point")
def _project(server: Server, place: list, direction: list, distance: float) -> list:
    """A ray meets the ground or nothing."""
    fall = -place[2] / direction[2] if direction[2] else -1.0
    hit = 0.0 <= fall <= distance
    point = [place[i] + direction[i] * fall for i in range(3)] if hit else [0.0, 0.0, 0.0]
    return [hit, [point, 1]]


@call("cast_ray")
def _cast_ray(server: Server, start: list, end: list) -> list:
    way = [b - a for a, b in zip(start, end)]
    hit, point = _project(server, start, way, 1.0)
    return [point] if hit else []


@call("reset_all_traffic_lights", nothing=True)
def _reset_lights(server: Server) -> None:
    server.world.reset_lights()


@call("freeze_all_traffic_lights", nothing=True)
def _freeze_all(server: Server, frozen: bool) -> None:
    for light in server.world.lights.values():
        light.frozen = frozen


@call("freeze_traffic_light", nothing=True)
def _freeze(server: Server, actor: int, frozen: bool) -> None:
    for light in server.world.group_of(actor).lights:
        light.frozen = frozen


@call("set_traffic_light_state", nothing=True)
def _set_light(server: Server, actor: int, state: int) -> None:
    server.world.group_of(actor)
    if state not in range(5):
        raise Refused(f"no state {state} of a traffic light: 0 red, 1 yellow, 2 green, 3 off, 4 unknown")
    server.world.lights[actor].state = state


@call("reset_traffic_light_group", nothing=True)
def _reset_group(server: Server, actor: int) -> None:
    server.world.group_of(actor).reset()


def _set_time(which: int) -> Callable:
    def change(server: Server, actor: int, seconds: float) -> None:
        server.world.group_of(actor)
        server.world.lights[actor].times[which] = max(float(seconds), 0.0)

    return change


for _which, _colour in enumerate(("green", "yellow", "red")):
    CALLS[f"set_traffic_light_{_colour}_time"] = Call(_set_time(_which), nothing=True)


@call("get_group_traffic_lights")
def _group(server: Server, actor: int) -> list[int]:
    return [light.actor.id for light in server.world.group_of(actor).lights]


@call("get_light_boxes")
def _light_boxes(server: Server, actor: int) -> list:
    light = server.world.find(actor)
    x, y, z = light.blueprint.extent
    return [[[*light.place[:2], light.place[2] + z], [x, y, z], light.place[3:], light.id]]


@call("is_traffic_manager_running")
def _manager_running(server: Server, port: int) -> bool:
    return port in server.traffic_managers


@call("get_traffic_manager_running")
def _manager(server: Server, port: int) -> list:
    where, _ = server.traffic_managers.get(port, (["", 0], None))
    return where


@call("add_traffic_manager_running")
def _add_manager(server: Server, where: list) -> bool:
    if where[1] in server.traffic_managers:
        return False
    server.traffic_managers[where[1]] = (where, server.caller)
    return True


@call("destroy_traffic_manager")
def _destroy_manager(server: Server, port: int) -> bool:
    return server.traffic_managers.pop(port, None) is not None
