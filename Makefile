# Every target sets up what it needs in $(VENV); nothing has to be installed first.
#   make demo [DEMO_ARGS=--fast]   compare the techniques on the embedded data
#   make test | test-slow          the quick tests | the rest
#   make check                     format, lint, types, documentation
#   make bench | docs | clean      import time | documentation in site/ | remove what make made
#   make test-floor                the quick tests on the oldest supported versions, in an environment of its own

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FLOOR := $(VENV)/floor
DEMO_ARGS ?=
TORCH := $(shell grep '^torch==' constraints.txt)
PIP := -m pip install --quiet --disable-pip-version-check
LOCKED := $(PIP) --constraint constraints.txt --no-build-isolation "$(TORCH)"

.DELETE_ON_ERROR:
.PHONY: demo test test-slow test-floor check bench docs clean

demo: $(VENV)/.train
	$(BIN)/imbalance-torch demo $(DEMO_ARGS)

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.train
	$(BIN)/python benchmarks/import_time.py

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site runs lightning_logs .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.base: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --constraint constraints.txt hatchling editables
	touch $@

$(VENV)/.train: $(VENV)/.base pyproject.toml
	@echo "Installing $(TORCH) and the train extra into $(VENV)"
	$(BIN)/python $(LOCKED) --editable ".[train]"
	touch $@

$(VENV)/.dev: $(VENV)/.base pyproject.toml
	@echo "Installing $(TORCH) and the train, dev and docs extras into $(VENV)"
	$(BIN)/python $(LOCKED) --editable ".[train,dev,docs]"
	touch $@ $(VENV)/.train

test-floor: pyproject.toml
	$(PYTHON) -m venv $(FLOOR)
	$(FLOOR)/bin/python $(PIP) "torch==2.10.0" "lightning==2.6.6" --editable ".[train,dev]"
	$(FLOOR)/bin/python -m pytest -m "not slow"
