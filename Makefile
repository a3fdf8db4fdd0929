# `make help` lists the targets. Everything runs in .venv, which the first target that needs it creates.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
MODEL ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# One thread per run: two threads collapse when another process holds a core.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-long lint table1 figures world clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: MODEL=micro (tables), TORCH_INDEX=<url> (which build of torch), PYTHON=<interpreter>\n'

install: $(READY) ## Create .venv and install everything, pinned

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 install")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY) ## Train std, gu and fun on the miniature world; print a table, draw two figures
	$(BIN)/python -m reproduce run demo
	$(BIN)/python -m reproduce table demo
	$(BIN)/python -m reproduce figure orders demo
	$(BIN)/python -m reproduce figure trace demo

test: $(READY) ## Run the tests (under ten minutes on two cores)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m 'not long'

test-long: $(READY) ## Run the counts and the chaos that make test leaves out (about half an hour)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long -rP

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

table1: $(READY) ## Regenerate Table 1 as CSV and LaTeX (MODEL=micro: the miniature world's)
	$(BIN)/python -m reproduce table table1 $(if $(MODEL),--model $(MODEL))

world: $(READY) ## Rebuild the miniature world's encoder and language adapters from their seed
	$(BIN)/python -m fun.world build

clean: ## Remove .venv and caches; never results/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
