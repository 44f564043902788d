"""Drive 20 s in a frozen world model: no simulator, no GPU, no download."""

import gymnasium as gym

from learned_sim_env.drivers import RouteFollower

env = gym.make("learned_sim_env:LearnedDriving-v0")
observation, info = env.reset(seed=0, options={"scenario": "curve"})
driver = RouteFollower.from_ego(observation["ego"])
for _ in range(200):
    observation, reward, terminated, truncated, info = env.step(driver(observation["ego"]))
    if terminated or truncated:
        break
end = info["end_reason"] or "still driving"
print(f"{info['imagined_steps']} steps imagined, {observation['ego'][0]:.1f} m/s, {end}")
env.close()
