PYTHON ?= python3
VENV ?= .venv
RL_VENV ?= .venv-rl
WORKERS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Busy waiting makes a small model's step many times slower as soon as another process wants the processor.
export OMP_WAIT_POLICY := PASSIVE

HOST ?= localhost:2000

.PHONY: demo checkpoint test test-fast test-rl test-carla-server lint bench clean

demo: $(STAMP)
	$(BIN)/learned-sim demo

# The checkpoint bev-rssm anew, from the recording of its data to its card: hours. Interrupted, it goes on.
checkpoint: $(STAMP)
	$(BIN)/learned-sim build bev-rssm --out runs/bev-rssm

test: export OMP_NUM_THREADS := 1
test: $(STAMP)
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile

# Without what is marked as slow, for people at work.
test-fast: export OMP_NUM_THREADS := 1
test-fast: $(STAMP)
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "not slow"

# The other reinforcement-learning libraries, which are large, and what is tested against them. In an environment of its
# own: RLlib wants another version of Gymnasium than the one that everything else is tested with.
test-rl: export OMP_NUM_THREADS := 1
test-rl:
	$(PYTHON) -m venv $(RL_VENV)
	grep -v '^gymnasium' constraints.txt > $(RL_VENV)/constraints.txt
	$(RL_VENV)/bin/python -m pip install -q -c $(RL_VENV)/constraints.txt -e ".[metadrive,rl,rl-all,train,dev]"
	$(RL_VENV)/bin/pytest -q tests/reinforcement tests/data/test_minari.py

# The tests of the CARLA twin on a real server instead of the stand-in, one environment at a time.
test-carla-server: $(STAMP)
	CARLA_SERVER=$(HOST) $(BIN)/pytest -q tests/simulators/test_carla.py tests/environments/test_contract.py -k "carla or Carla"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/learned-sim bench

clean:
	rm -rf $(VENV) $(RL_VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find learned_sim_env tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[metadrive,carla,viewer,rl,train,recordings,dev]"
	touch $@
