# Both commands of the README need nothing but Python 3.11 or later: they make the environment themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test faults lint bench docs clean

demo: .venv/installed  ## the main job on real data: a sweep of 430 trials, ending in a report
	$(BIN)/prunesweep run sweeps/quickstart.yaml
	$(BIN)/prunesweep report results/quickstart
	@echo
	@echo "Open results/quickstart/report.html in a browser. To try next:"
	@echo "  $(BIN)/prunesweep status results/quickstart"
	@echo "  $(BIN)/prunesweep init my-sweep.yaml    # a commented sweep file of your own"

test: .venv/installed  ## the whole suite, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile

faults: .venv/installed  ## processes killed, nodes lost, disks filled: results as if nothing had happened
	$(BIN)/python -m pytest -n 2 --dist loadfile -m faults --durations=0 -W "ignore::ResourceWarning" tests/faults tests/orchestrator/test_slurm.py

lint: .venv/installed  ## format, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed  ## every ratio in one table, under ten minutes
	$(BIN)/python -m benchmarks

docs: .venv/installed  ## the site: docs/_build/index.html
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build

clean:
	rm -rf .venv results build docs/_build docs/api *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
