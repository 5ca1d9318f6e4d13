# Every target works in a fresh clone: what it needs is installed once into .venv, and again only when
# pyproject.toml or constraints.txt change. `make demo PYTHON=python3.12` chooses another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --retries 5 --no-compile --constraint constraints.txt
# pip compiles twelve thousand files on one core, two thirds of which nothing here imports; those that are
# imported after all are compiled then. Some package has files that no Python compiles: no matter.
UNUSED := tests|testing|ray|dask|distributed|transformers|sympy|pyright|plotly|narwhals|mpmath|fontTools|prompt_toolkit|tornado|setuptools|pip
UNUSED := $(UNUSED)|torch/(_inductor|_dynamo|_vendor|distributed|onnx)|scipy/signal|numpy/distutils
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/($(UNUSED))/' $(VENV)/lib || true

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster lint bench gpu-check attack docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-run ## memorise two small worlds and write one HTML report (under a minute)
	@$(BIN)/geomem demo

test: $(VENV)/.installed-dev ## run every test, trained science and browser included
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-cluster: $(VENV)/.installed-cluster ## sweeps on clusters made here, whose workers and nodes are killed
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/cluster/engines.py

lint: $(VENV)/.installed-dev ## ruff and pyright
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

bench: $(VENV)/.installed-run ## print the README's speed table, measured here and now
	@$(BIN)/python -m benchmarks

gpu-check: $(VENV)/.installed-dev ## measure geomem on a CUDA card, eight minutes at most; nothing without one
	@$(BIN)/python -m benchmarks.gpu

attack: $(VENV)/.installed-dev ## kill and feed every command some 16,000 times; about an hour
	@$(BIN)/python tests/attack

docs: $(VENV)/.installed-docs ## build the site into docs/_build/html; a warning is an error
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean: ## remove what the targets made, the environment included; runs stay
	rm -rf $(VENV) build dist docs/_build docs/gallery docs/sg_execution_times.rst

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("geomem needs Python 3.11 or newer: make PYTHON=python3.12 demo, for one." if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed-run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing geomem into $(VENV), once; torch alone is some 200 MB, so this takes a minute or two."
	@$(PIP) --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-run
	@echo "Installing the test tools into $(VENV), once."
	@$(PIP) --editable '.[dev]'
	@$(COMPILE)
	@touch $@

# With the test tools in one go: pip takes its time for each.
$(VENV)/.installed-cluster: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing geomem, the test tools, Ray, Dask and submitit into $(VENV), once; torch is some 200 MB, Ray 70."
	@$(PIP) --editable '.[dev,ray,dask,slurm]'
	@$(COMPILE)
	@touch $(VENV)/.installed-run $(VENV)/.installed-dev $@

$(VENV)/.installed-docs: $(VENV)/.installed-run
	@echo "Installing the documentation tools into $(VENV), once."
	@$(PIP) --editable '.[docs]'
	@touch $@
