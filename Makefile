# `make help` lists the targets. Everything runs in .venv, which the first target that needs it creates.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
MODEL ?=
PROFILE ?= a100
RUNS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# One thread per run: two threads collapse when another process holds a core.
export OMP_NUM_THREADS ?= 1
# Where it is set, every process compiles our modules anew.
unexport PYTHONDONTWRITEBYTECODE

PAPERS := $(patsubst reproduce/papers/%/paper.yaml,%,$(wildcard reproduce/papers/*/paper.yaml))
TABLES := $(foreach number,1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18,table$(number))
.DEFAULT_GOAL := help
.PHONY: help install demo small readme report test test-long lint tables $(TABLES) figure2 figure3 figure4 figure5 submit-table1 status world clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: MODEL=micro (tables, figures), TORCH_INDEX=<url> (which build of torch), PYTHON=<interpreter>\n'

install: $(READY) ## Create .venv and install everything, pinned

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 install")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY) ## Train std, gu and fun on the miniature world; print a table, draw two figures, write a page
	$(BIN)/python -m reproduce run demo demo-traces
	$(BIN)/python -m reproduce table demo
	$(BIN)/python -m reproduce figure demo-orders
	$(BIN)/python -m reproduce figure demo-traces
	$(BIN)/python -m reproduce report --model micro

small: $(READY) ## Train on real text with a real encoder, hours on two cores; tables, figures and a page (RUNS=2: two runs a time)
	-$(if $(wildcard docs/small/runs),$(BIN)/python -m reproduce merge docs/small small)
	$(BIN)/python -m reproduce run small/figure3 small $(if $(RUNS),--at-most $(RUNS))
	$(BIN)/python -m reproduce table small/table1
	$(BIN)/python -m reproduce table small/table13
	$(BIN)/python -m reproduce table small/l2
	-$(BIN)/python -m reproduce figure small/figure3
	-$(BIN)/python -m reproduce figure small/figure5
	$(BIN)/python -m reproduce report

readme: export FUN_SMALL_ENCODER = sha256:ee1d2e82f9e58291ca2079b33218972a043386c8188941bf07a1312d4f7cfbac
readme: export FUN_SMALL_DATA = docs/small/data
readme: $(READY) ## Write small/table1 from docs/small between its two lines in README.md, without encoder and data
	$(BIN)/python -m reproduce table small/table1 --results docs/small --into README.md

test: $(READY) ## Run the tests (6 to 14 minutes on two cores)
	$(BIN)/python -m pytest -n 4 --dist worksteal -m 'not long'

test-long: $(READY) ## Run the counts and the chaos that make test leaves out
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long -rP

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

table1: $(READY) ## Regenerate Table 1 as CSV and LaTeX; table2 to table18 likewise (MODEL=micro: the miniature world's)
$(TABLES): $(READY)
	$(BIN)/python -m reproduce table $@ $(if $(MODEL),--model $(MODEL))

# Any target of any paper: make fun/table1, make l2/figure2.
define OF_PAPER
$(1)/%: $(READY)
	$(BIN)/python -m reproduce $$(if $$(findstring figure,$$*),figure,table) $$@ $(if $(MODEL),--model $(MODEL))
endef
$(foreach paper,$(PAPERS),$(eval $(call OF_PAPER,$(paper))))

tables: $(READY) ## Regenerate all tables
	$(BIN)/python -m reproduce tables $(if $(MODEL),--model $(MODEL))

figure2: $(READY) ## Draw Figure 2 as PNG and PDF; figure3, figure4, figure5 likewise (MODEL=micro: the miniature world's)
figure2 figure3 figure4 figure5: $(READY)
	$(BIN)/python -m reproduce figure $@ $(if $(MODEL),--model $(MODEL))

submit-table1: $(READY) ## Submit what Table 1 lacks to SLURM and return (PROFILE=a100, v100, a100,v100 or local; MODEL=micro)
	$(BIN)/python -m reproduce submit table1 --profile $(PROFILE) $(if $(MODEL),--model $(MODEL))

status: $(READY) ## What runs, waits and went wrong
	$(BIN)/python -m reproduce status

report: $(READY) ## Write one HTML page of all that is reproduced so far (MODEL=micro: the miniature world's)
	$(BIN)/python -m reproduce report $(if $(MODEL),--model $(MODEL))

world: $(READY) ## Rebuild the miniature world's encoder and language adapters from their seed
	$(BIN)/python -m fun.world build

clean: ## Remove .venv and caches; never results/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
