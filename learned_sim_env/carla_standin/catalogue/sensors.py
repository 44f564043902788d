"""All sensors, with CARLA's defaults; what the stand-in does with them is in `sensing`."""

from __future__ import annotations

from learned_sim_env.carla_standin.catalogue.blueprint import Attribute, Blueprint, names


def _sensor(name: str, *groups: str) -> Blueprint:
    """groups: lines of a type and then names and defaults of its attributes."""
    attributes = [*names(f"sensor.{name}", "front", "back", "left", "right")]
    for line in " | ".join(groups).split("|"):
        kind, *words = line.split() or [""]
        attributes += [Attribute(word, kind, value) for word, value in (pair.split("=") for pair in words)]
    return Blueprint(f"sensor.{name}", attributes=tuple(attributes))


_TICK = "float sensor_tick=0.0"
_LENS = """int image_size_x=800 image_size_y=600 | float fov=90.0 lens_circle_falloff=5.0 lens_circle_multiplier=0.0
lens_k=-1.0 lens_kcube=0.0 lens_x_size=0.08 lens_y_size=0.08 sensor_tick=0.0"""
_FILM = """bool enable_postprocess_effects=true | str exposure_mode=histogram | int blade_count=5 | float
exposure_compensation=0.0 exposure_min_bright=10.0 exposure_max_bright=12.0 exposure_speed_up=3.0
exposure_speed_down=1.0 shutter_speed=200.0 iso=100.0 fstop=1.4 min_fstop=1.2 gamma=2.2 focal_distance=1000.0
blur_amount=1.0 blur_radius=0.0 bloom_intensity=0.675 lens_flare_intensity=0.1 calibration_constant=16.0
motion_blur_intensity=0.45 motion_blur_max_distortion=0.35 motion_blur_min_object_screen_size=0.1 slope=0.88 toe=0.55
shoulder=0.26 black_clip=0.0 white_clip=0.04 temp=6500.0 tint=0.0 chromatic_aberration_intensity=0.0
chromatic_aberration_offset=0.0"""
_EVENTS = """bool use_log=true | int refractory_period_ns=0 | float positive_threshold=0.3 negative_threshold=0.3
sigma_positive_threshold=0.0 sigma_negative_threshold=0.0 log_eps=0.001"""
_RAYS = """int channels=32 points_per_second=56000 | float range=10.0 rotation_frequency=10.0 upper_fov=10.0
lower_fov=-30.0 horizontal_fov=360.0 sensor_tick=0.0"""
_RETURNS = """float atmosphere_attenuation_rate=0.004 dropoff_general_rate=0.45 dropoff_intensity_limit=0.8
dropoff_zero_intensity=0.4 noise_stddev=0.0"""
_SEED = "int noise_seed=0"
_GNSS = """float noise_lat_stddev=0.0 noise_lat_bias=0.0 noise_lon_stddev=0.0 noise_lon_bias=0.0 noise_alt_stddev=0.0
noise_alt_bias=0.0"""
_ACCELERATION = "float noise_accel_stddev_x=0.0 noise_accel_stddev_y=0.0 noise_accel_stddev_z=0.0"
_GYROSCOPE = """float noise_gyro_stddev_x=0.0 noise_gyro_stddev_y=0.0 noise_gyro_stddev_z=0.0 noise_gyro_bias_x=0.0
noise_gyro_bias_y=0.0 noise_gyro_bias_z=0.0"""
_RADIO = """float transmit_power=21.5 receiver_sensitivity=-99.0 frequency_ghz=5.9 combined_antenna_gain=10.0
path_loss_exponent=2.7 d_ref=1.0 filter_distance=500.0 custom_fading_stddev=0.0 | bool use_etsi_fading=true |
str scenario=highway path_loss_model=winner"""
_MESSAGES = """float gen_cam_min=0.1 gen_cam_max=1.0 noise_head_stddev=0.0 noise_head_bias=0.0 noise_yawrate_stddev=0.0
noise_yawrate_bias=0.0 noise_vel_stddev_x=0.0 | bool fixed_rate=false"""

SENSORS = (
    _sensor("camera.rgb", _LENS, _FILM),
    *(
        _sensor(f"camera.{kind}", _LENS)
        for kind in ("depth", "instance_segmentation", "normals", "optical_flow", "semantic_segmentation")
    ),
    _sensor("camera.cosmos_visualization", _LENS),
    _sensor("camera.dvs", _LENS, _FILM, _EVENTS),
    _sensor("lidar.ray_cast", _RAYS, _RETURNS, _SEED),
    _sensor("lidar.ray_cast_semantic", _RAYS),
    _sensor("other.collision"),
    _sensor("other.gnss", _TICK, _SEED, _GNSS),
    _sensor("other.imu", _TICK, _SEED, _ACCELERATION, _GYROSCOPE),
    _sensor("other.lane_invasion"),
    _sensor(
        "other.obstacle", _TICK, "float distance=5.0 hit_radius=0.5", "bool only_dynamics=false debug_linetrace=false"
    ),
    _sensor(
        "other.radar", _TICK, "float horizontal_fov=30 vertical_fov=30 range=100", "int points_per_second=1500", _SEED
    ),
    _sensor("other.rss"),
    _sensor("other.v2x", _TICK, _SEED, _RADIO, _MESSAGES, _GNSS, _ACCELERATION),
    _sensor("other.v2x_custom", _TICK, _SEED, _RADIO),
)
