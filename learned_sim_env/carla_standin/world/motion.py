"""How vehicles and walkers move: a kinematic bicycle on a flat plane, and a straight walk."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan, atan2, cos, degrees, hypot, radians, sin, tan
from typing import Any

from learned_sim_env.carla_standin.wire import FASTEST, turned, within
from learned_sim_env.carla_standin.world.actors import Actor

# [m/s^2] at full throttle and full brake, [1/s] drag of a rolling car, [m/s] top speed in reverse.
ENGINE, BRAKES, DRAG, TOP_REVERSE = 5.0, 9.0, 0.06, 6.0
# [m/s^2] with which a car rolls out in gear, and with which the hand brake holds.
ROLLING, HAND_BRAKE = 0.4, 6.0
# [m/s^2] sideways that the tyres hold: faster cars turn less.
GRIP = 7.0
# [s] that the wheels lag behind the steering.
STEERING_LAG = 0.1
# Share of the front wheels' angle that the car turns by: CARLA's wheels slip.
STEERING_RATIO = 0.6
MOST_GEARS = 20


def sane(control: Sequence[Any]) -> tuple[float, float, float, bool, bool, bool, int]:
    """A VehicleControl's record within its bounds: what is beyond them is as much as there is."""
    throttle, steer, brake, hand_brake, reverse, manual, gear = control
    return (
        within(throttle, 0.0, 1.0),
        within(steer, -1.0, 1.0),
        within(brake, 0.0, 1.0),
        bool(hand_brake),
        bool(reverse),
        bool(manual),
        int(within(gear, -1, MOST_GEARS)),
    )


def drive(car: Actor, dt: float) -> None:
    """Move a vehicle on by `dt` [s] under its last control."""
    throttle, steer, brake, hand_brake, reverse, _, _ = car.control
    speed, before = car.forward_speed, car.velocity
    if car.hold is not None:
        speed = car.hold
    else:
        push = ENGINE * throttle * (-1.0 if reverse else 1.0) - DRAG * speed
        hold = BRAKES * brake + HAND_BRAKE * hand_brake + (ROLLING if throttle < 0.01 else 0.0)
        speed += push * dt
        # Brakes bring to rest, never backwards.
        speed = max(speed - hold * dt, 0.0) if speed > 0 else min(speed + hold * dt, 0.0)
        speed = max(speed, -TOP_REVERSE)
    wanted = radians(car.blueprint.max_steer) * STEERING_RATIO * steer
    car.wheel += (wanted - car.wheel) * min(1.0, dt / STEERING_LAG)
    wheelbase = 1.2 * car.blueprint.extent[0]
    # The angle between the heading and the motion of the middle between the axles.
    slip = atan(tan(car.wheel) / 2)
    turn = speed * sin(slip) / (wheelbase / 2)
    if abs(turn * speed) > GRIP:
        turn *= GRIP / abs(turn * speed)
        slip *= 0.2
    yaw = radians(car.place[4])
    middle = yaw + slip + turn * dt / 2
    vx, vy = speed * cos(middle), speed * sin(middle)
    car.place[0] += vx * dt
    car.place[1] += vy * dt
    car.place[2] = max(0.0, car.place[2] - 5.0 * dt)
    car.place[4] = turned(car.place[4] + degrees(turn * dt))
    car.forward_speed, car.velocity, car.yaw_rate = speed, (vx, vy, 0.0), degrees(turn)
    car.acceleration = ((vx - before[0]) / dt, (vy - before[1]) / dt, 0.0)


def walk(walker: Actor, dt: float) -> None:
    """Move a walker on by `dt` [s], looking where it goes."""
    (dx, dy, _), speed, _ = walker.walk
    norm, before = hypot(dx, dy), walker.velocity
    vx, vy = (speed * dx / norm, speed * dy / norm) if norm > 1e-6 else (0.0, 0.0)
    if speed and norm > 1e-6:
        walker.place[4] = degrees(atan2(dy, dx))
    walker.place[0] += vx * dt
    walker.place[1] += vy * dt
    walker.velocity = (vx, vy, 0.0)
    walker.acceleration = ((vx - before[0]) / dt, (vy - before[1]) / dt, 0.0)


def stop(actor: Actor) -> None:
    """Bring to rest at once."""
    actor.forward_speed, actor.velocity, actor.yaw_rate = 0.0, (0.0, 0.0, 0.0), 0.0


def push(car: Actor, velocity: list[float]) -> None:
    """Set the velocity (x, y, z) [m/s]; what is not along the heading is lost."""
    yaw = radians(car.place[4])
    along = velocity[0] * cos(yaw) + velocity[1] * sin(yaw)
    car.forward_speed = within(along, -FASTEST, FASTEST)
    car.velocity = (car.forward_speed * cos(yaw), car.forward_speed * sin(yaw), 0.0)
