# Needs make and Python 3.11 or newer, nothing else: the targets make their own .venv.
#   make test PYTHON=python3.12            another interpreter
#   make test TORCH_INDEX=<address>        another package index for torch, such as one of CPU builds

PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: help demo test test-slow check format bench clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: .venv/.core  ## ask the embedded model about a picture and draw its answer
	@mkdir -p build
	$(BIN)/sightline ask examples/scene.png "Where is the orange cross?" --draw build/demo.png

test: check  ## lint, types and the default tests: what every change must pass
	$(ONE_THREAD) $(BIN)/python -m pytest

test-slow: .venv/.test  ## the tests that take minutes
	$(ONE_THREAD) $(BIN)/python -m pytest -m "slow and not gpu and not network" || [ $$? -eq 5 ]  # 5: there are none

check: .venv/.test  ## lint and types only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.test  ## mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.test  ## measure, side by side with other engines
	$(BIN)/python -m bench

clean:  ## remove what was built and cached; .venv stays
	rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Sightline needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
		echo "Name a newer one: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# torch comes first and alone, so that its index may differ; its own needs follow with the rest.
.venv/.core: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Sightline and what it needs into .venv (some minutes the first time)"
	$(PIP) --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) --editable .
	@touch $@

.venv/.test: .venv/.core
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps timm  # what it wants of torchvision has no CPU build: tests stand in for it
	@touch $@
