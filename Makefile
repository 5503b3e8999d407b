# Everything that a reader or a developer needs, on a machine with only Python 3.11 (or newer) and make.
#
#   make demo       chapter 1: a real language model in a tenth of its memory, checked
#   make demo-all   every chapter of the demo
#   make test       all tests, closing with pytest's summary
#   make check      lint, spelling, types, import contracts, documentation
#   make coverage   which branches the tests take of the modules that decide
#   make mutants    change those modules in every small way, to see a test fail: hours; ONLY='*plan*' takes some
#   make bench      the benchmarks there are; make bench CASE=name runs one
#   make oracle     every op, module and optimizer of torch's databases on simulated workers, against torch alone
#   make docs       the documentation as HTML in docs/_build/html
#   make web        the page of `outgrow web` from its sources in web/ (needs Node 20 or newer)
#   make golden     rewrite the golden files of the tests; review the diff
#   make matrix     the slow sweep over every architecture that builds offline
#   make package    wheel and sdist in dist/, then the wheel in an empty environment: four rooms, no extras
#   make clean      remove what was built here, .venv included
#
# Variables: PYTHON (the interpreter to make .venv from), TORCH_INDEX (the index that torch comes from; `none` for
# pip's own), WORKERS (processes of the tests), PYTEST (more arguments for pytest), EXTRAS (of the wheel that `make package`
# installs: with EXTRAS=all nothing is missing).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help venv demo demo-all test check coverage mutants bench oracle docs web golden matrix package clean

PYTHON ?=
TORCH_INDEX ?=
CASE ?=
ONLY ?=
EXTRAS ?=
PYTEST ?=
WORKERS ?= auto

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.outgrow-stamp
PYTEST_RUN := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --maxprocesses=8 --dist=worksteal

export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:
	@sed -n 's/^#   /  /p' Makefile

venv: $(STAMP)

# Nothing to do while the stamp is newer than what it was made from.
$(STAMP): pyproject.toml .ci/environment
	@VENV='$(VENV)' PYTHON='$(PYTHON)' TORCH_INDEX='$(TORCH_INDEX)' bash .ci/environment </dev/null
	@touch $@

demo: $(STAMP)
	$(BIN)/outgrow demo --yes

demo-all: $(STAMP)
	$(BIN)/outgrow demo all --yes

test: $(STAMP)
	$(PYTEST_RUN) $(PYTEST)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sphinx-build -q -n -W --keep-going -b html docs docs/_build/html

coverage: $(STAMP)
	$(BIN)/python -m bench deciding --dry --least 95

# Not among the developers' tools: it brings a program for the terminal along, and takes hours.
mutants: $(STAMP)
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(BIN)/pip install --quiet 'mutmut>=3.8,<4'
	OMP_NUM_THREADS=1 $(BIN)/python -m mutmut run $(if $(ONLY),'$(ONLY)')
	@$(BIN)/python -m mutmut results

bench: $(STAMP)
	$(BIN)/python -m bench $(or $(CASE),--help)

oracle: $(STAMP)
	$(BIN)/python -W ignore -m bench shard_ops --jobs 2 --log .oracle.jsonl --page docs/reference/shard-ops.md

docs: $(STAMP)
	$(BIN)/sphinx-build -n -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

web/node_modules: web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo "make web needs Node 20 or newer with npm; users of outgrow do not." >&2; exit 2; }
	cd web && npm ci --no-audit --no-fund
	@touch $@

web: web/node_modules
	cd web && npm run --silent check && npm run --silent test && npm run --silent build

golden: $(STAMP)
	$(BIN)/python -m pytest -p no:randomly --rewrite-golden $(PYTEST)
	@git --no-pager diff --stat -- tests/golden || true

matrix: $(STAMP)
	$(PYTEST_RUN) -m slow $(PYTEST)

package: $(STAMP)
	@VENV='$(VENV)' PYTHON='$(PYTHON)' TORCH_INDEX='$(TORCH_INDEX)' EXTRAS='$(EXTRAS)' bash .ci/package

clean:
	rm -rf $(VENV) web/node_modules build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* mutants
	find src tests bench docs examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
