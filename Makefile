# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
# Each needs nothing but Python 3.11 or newer, git and make, and works in a virtual environment of its own making.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Processes that share the tests, each with one thread; a thread that waits leaves its core to the other.
WORKERS ?= 2
# PEP 517: older versions of pip cannot build seqeval, which has no wheel, in any other way.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 --constraint constraints.txt

.PHONY: demo test hostile faults cluster-faults bench check lint docs clean

demo: $(VENV)/.demo
	$(BIN)/isogloss run demo --out runs/demo
	$(BIN)/isogloss analyze runs/demo tokenization --quiet
	$(BIN)/isogloss report runs/demo

test: $(VENV)/.test
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

# Every hostile input; `make test` has a fixed choice of them.
hostile: $(VENV)/.test
	ISOGLOSS_HOSTILE=all $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal tests/hostile

# Kills at every file operation and 200 rounds of processes at once; `make test` has a fixed choice of them.
faults: $(VENV)/.test
	ISOGLOSS_ROUNDS=200 OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal tests/faults

# Nodes, workers and drivers of real clusters killed at random moments, ten rounds of each; `make test` has one.
cluster-faults: $(VENV)/.test
	ISOGLOSS_ROUNDS=10 OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/executors -k lost

# The whole suite of benchmarks, or `make bench PARTS="small-lora demo"`; what is measured already is not again.
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks $(if $(PARTS),--part $(PARTS))

check: lint test

lint: $(VENV)/.lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, in docs/_build/html; a warning is an error.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -E -W --keep-going -b html docs docs/_build/html

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"isogloss needs Python 3.11 or newer, this is {sys.version.split()[0]}; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: pyproject.toml constraints.txt $(VENV)/bin/python
	$(PIP_INSTALL) torch
	$(PIP_INSTALL) --editable '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) runs docs/_build
