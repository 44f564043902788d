"""CARLA's remote procedures on actors: spawning, destroying, control, and batches of these."""

from __future__ import annotations

from math import degrees
from typing import TYPE_CHECKING, Any

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.registry import CALLS, Call, call, perform, require_finite
from learned_sim_env.carla_standin.wire import Refused
from learned_sim_env.carla_standin.world import motion
from learned_sim_env.carla_standin.world.actors import Actor

if TYPE_CHECKING:
    from learned_sim_env.carla_standin.server import Server


@call("get_spectator")
def _spectator(server: Server) -> list:
    return server.world.spectator.record()


@call("get_actors_by_id")
def _actors(server: Server, ids: list[int]) -> list:
    actors = server.world.actors
    return [actors[i].record() for i in ids if i in actors]


@call("spawn_actor")
def _spawn(server: Server, description: list, transform: list, parent: int = 0) -> list:
    return spawn(server, description, transform, parent).record()


@call("spawn_actor_with_parent")
def _spawn_fixed(server: Server, description: list, transform: list, parent: int, *_: Any) -> list:
    return spawn(server, description, transform, parent).record()


def spawn(server: Server, description: list, transform: list, parent: int) -> Actor:
    """Add the described actor, with a stream if it is a sensor that needs one."""
    _, name, attributes = description
    if server.faults.refuse_spawns and name.startswith(server.faults.refuse_spawns):
        raise Refused("Spawn failed because of collision at spawn position")
    stream = server.sensors.add(name)
    actor = server.world.spawn(
        name,
        {key: value for key, _, value in attributes},
        wire.flat(transform),
        parent,
        server.token(stream) if stream else b"",
    )
    if stream:
        server.sensors.attach(actor, stream)
    return actor


@call("destroy_actor")
def _destroy(server: Server, actor: int) -> bool:
    for stream in server.sensors.forget(actor):
        server.streams.forget(stream)
    return server.world.destroy(actor)


@call("get_actor_bounding_box")
def _bounding_box(server: Server, actor: int) -> list:
    return server.world.find(actor).bounding_box()


@call("apply_control_to_vehicle", nothing=True)
def _control(server: Server, actor: int, control: list) -> None:
    server.world.find(actor).steer(motion.sane(control))


@call("apply_control_to_walker", nothing=True)
def _walk(server: Server, actor: int, control: list) -> None:
    (x, y, z), speed, jump = control
    server.world.find(actor).walk = ((x, y, z), wire.within(speed, 0.0, wire.FASTEST), bool(jump))


@call("apply_ackermann_control_to_vehicle", nothing=True)
def _ackermann(server: Server, actor: int, control: list) -> None:
    """Steering as asked for; speed by a proportional controller."""
    car = server.world.find(actor)
    push = min(max(0.5 * (control[2] - car.forward_speed), -1.0), 1.0)
    steer = min(max(degrees(control[0]) / car.blueprint.max_steer, -1.0), 1.0)
    car.steer((max(push, 0.0), steer, max(-push, 0.0), *car.control[3:]))


@call("set_actor_transform", nothing=True)
def _place(server: Server, actor: int, transform: list) -> None:
    thing = server.world.find(actor)
    if thing.parent is not None:
        thing.offset = wire.flat(transform)
    else:
        thing.place = wire.flat(transform)


@call("set_actor_location", nothing=True)
def _move(server: Server, actor: int, location: list) -> None:
    server.world.find(actor).place[:3] = wire.location(location)


@call("set_actor_target_velocity", nothing=True)
def _push(server: Server, actor: int, velocity: list) -> None:
    motion.push(server.world.find(actor), velocity)


@call("enable_actor_constant_velocity", nothing=True)
def _hold_velocity(server: Server, actor: int, velocity: list) -> None:
    # Given in the vehicle's own frame.
    server.world.find(actor).hold = wire.within(velocity[0], -wire.FASTEST, wire.FASTEST)


@call("disable_actor_constant_velocity", nothing=True)
def _free_velocity(server: Server, actor: int) -> None:
    server.world.find(actor).hold = None


@call("set_actor_simulate_physics", nothing=True)
def _physics(server: Server, actor: int, on: bool) -> None:
    server.world.find(actor).still = not on


@call("set_actor_collisions", nothing=True)
def _collisions(server: Server, actor: int, on: bool) -> None:
    server.world.find(actor).collides = on


def _ignored(server: Server, actor: int, *_: Any) -> None:
    """Forces and the like mean nothing to a kinematic world; the actor must be there all the same."""
    server.world.find(actor)


for _name in (
    "add_actor_impulse",
    "add_actor_impulse_at_location",
    "add_actor_force",
    "add_actor_force_at_location",
    "add_actor_angular_impulse",
    "add_actor_torque",
    "apply_ackermann_controller_settings",
    "close_vehicle_door",
    "open_vehicle_door",
    "set_actor_dead",
    "set_actor_enable_gravity",
    "set_actor_target_angular_velocity",
    "show_vehicle_debug_telemetry",
):
    CALLS[_name] = Call(_ignored, nothing=True, idle=True)


@call("set_actor_autopilot", nothing=True)
def _autopilot(server: Server, actor: int, on: bool, *_: Any) -> None:
    """Nothing to do here: the client's TrafficManager drives."""
    server.world.find(actor)


@call("get_wheel_steer_angle")
def _wheel_angle(server: Server, actor: int, wheel: int) -> float:
    """[deg]; wheels 0 and 1 are the front ones."""
    car = server.world.find(actor)
    return degrees(car.wheel) if wheel < 2 else 0.0


@call("set_vehicle_light_state", nothing=True)
def _set_lamps(server: Server, actor: int, state: Any) -> None:
    server.world.find(actor).lights = int(state[0] if isinstance(state, list) else state) & 0xFFFFFFFF


@call("get_vehicle_light_state")
def _lamps(server: Server, actor: int) -> list:
    return [server.world.find(actor).lights]


@call("get_vehicle_light_states")
def _all_lamps(server: Server) -> list:
    return [[actor.id, actor.lights] for actor in server.world.actors.values() if actor.kind == "vehicle"]


@call("apply_physics_control", nothing=True, idle=True)
def _set_physics_control(server: Server, actor: int, control: list) -> None:
    """Keep it for those that ask; cars drive as before."""
    server.world.find(actor).physics = control


@call("get_physics_control")
def _physics_control(server: Server, actor: int) -> list:
    """What has been applied, or a plain car with the wheels' largest angle; the rest means nothing here."""
    car = server.world.find(actor)
    if car.physics is not None:
        return car.physics
    x, y, _ = car.blueprint.extent
    wheels = []
    for i, (along, across) in enumerate(((0.6, 0.8), (0.6, -0.8), (-0.6, 0.8), (-0.6, -0.8))):
        steer = car.blueprint.max_steer if i < 2 else 0.0
        place = [100.0 * (car.place[0] + along * x), 100.0 * (car.place[1] + across * y), 0.0]
        wheels.append([3.5, 0.25, steer, 35.0, 1500.0, 3000.0, 2.0, 17.0, 1000.0, place])
    torque, steering = [[0.0, 500.0], [5000.0, 500.0]], [[0.0, 1.0], [120.0, 1.0]]
    gears = [[4.0, 0.5, 0.65]]
    mass = car.blueprint.mass
    start = [torque, 5000.0, 1.0, 0.15, 2.0, 0.35, True, 0.5, 10.0, 4.0, gears]
    return [*start, mass, 0.3, [0.0, 0.0, 0.0], steering, wheels, False]


@call("get_telemetry_data")
def _telemetry(server: Server, actor: int) -> list:
    car = server.world.find(actor)
    throttle, steer, brake, *_, gear = car.control
    return [car.forward_speed, steer, throttle, brake, 0.0, gear, 0.0, []]


@call("get_ackermann_controller_settings")
def _ackermann_settings(server: Server, actor: int) -> list:
    server.world.find(actor)
    return [0.15, 0.0, 0.25, 0.01, 0.0, 0.01]


# Commands of a batch by their index on the wire; those named are a call of their own with the same arguments.
COMMANDS = {
    2: "apply_control_to_vehicle",
    3: "apply_ackermann_control_to_vehicle",
    4: "apply_control_to_walker",
    5: "apply_physics_control",
    6: "set_actor_transform",
    8: "set_actor_target_velocity",
    9: "set_actor_target_angular_velocity",
    10: "add_actor_impulse",
    11: "add_actor_force",
    12: "add_actor_angular_impulse",
    13: "add_actor_torque",
    14: "set_actor_simulate_physics",
    15: "set_actor_enable_gravity",
    16: "set_actor_autopilot",
    17: "show_vehicle_debug_telemetry",
    18: "set_vehicle_light_state",
    19: "set_actor_location",
    21: "set_traffic_light_state",
}
SPAWN, DESTROY, WALKER_STATE = 0, 1, 7


@call("apply_batch", bare=True)
def _batch(server: Server, commands: list, then_tick: bool = False) -> list:
    """Do all, answer for each; one that is refused does not stop the others."""
    answers = [_command(server, command) for command in commands]
    if then_tick:
        server.tick()
    return answers


def _command(server: Server, command: list, new: int = 0) -> list:
    """Answer [[1, actor id]] or [[0, [message]]]; new: what actor id 0 means to the commands after a spawning."""
    index, body = command[0]
    try:
        require_finite(body)
        if index == SPAWN:
            description, transform, parent, *_, after = body
            actor = spawn(server, description, transform, parent[1] if parent[0] else 0).id
            for following in after:
                _command(server, following, actor)
            return [[1, actor]]
        actor, *arguments = body
        actor = actor or new
        if index == DESTROY:
            if not _destroy(server, actor):
                raise Refused(f"unable to destroy actor {actor}: not found")
        elif index == WALKER_STATE:
            _place(server, actor, arguments[0])
            walker = server.world.find(actor)
            walker.walk = (walker.walk[0], wire.within(arguments[1], 0.0, wire.FASTEST), False)
        elif index in COMMANDS:
            perform(server, COMMANDS[index], actor, *arguments)
        else:
            server.log.note(f"apply_batch: the stand-in has no command {index}")
            raise Refused(f"command {index} is not one that the stand-in knows")
    except Refused as refused:
        return [[0, [str(refused)]]]
    return [[1, actor]]
