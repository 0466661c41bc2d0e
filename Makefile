# Two commands on a fresh machine: `make run` and `make test`. Both set themselves up.
PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)
export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE := copy
export UV_SYSTEM_CERTS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

ifdef UV
MAKE_VENV := $(UV) venv --quiet --python $(PYTHON) .venv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --constraint requirements.lock
else
MAKE_VENV := $(PYTHON) -m venv .venv
INSTALL := $(BIN)/python -m pip install --quiet --constraint requirements.lock
endif

.DEFAULT_GOAL := help
.PHONY: help run pages lab test retrain extras bench check readme lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

.venv/run: requirements.lock settings.ini setup.py
	@echo 'Installing what MyTech needs (once, about a minute) ...'
	@test -x $(BIN)/python || $(MAKE_VENV)
	@$(INSTALL) setuptools
	@$(INSTALL) --no-build-isolation --editable '.[pages]'
	@touch $@

.venv/test: .venv/run
	@echo 'Installing what the tests need ...'
	@$(INSTALL) --no-build-isolation --editable '.[dev]'
	@touch $@

run: .venv/run  ## start everything on this machine; Ctrl-C stops it
	@$(BIN)/mytech run

retrain: .venv/run  ## train on all confirmed labels, through the pipeline notebook
	@$(BIN)/mytech retrain

pages: .venv/run  ## serve the pages alone; Ctrl-C stops them
	@$(BIN)/mytech run --only pages

lab: .venv/run  ## JupyterLab for analysts, with MyTech in its kernel
	@$(INSTALL) --no-build-isolation --editable '.[pages,lab]'
	@$(BIN)/jupyter lab --notebook-dir . --allow-root

EXTRAS ?= tune,mlflow
extras: .venv/run  ## install optional parts, as in make extras EXTRAS=tune,mlflow
	@$(INSTALL) --no-build-isolation --editable '.[$(EXTRAS)]'

test: check  ## everything that CI checks
	$(BIN)/nbdev_test --n_workers 2 --do_print
	$(BIN)/python -m pytest tests -n 2 --dist loadfile --durations=12

check: .venv/test  ## what takes seconds: exports in sync, house style, lint
	$(BIN)/ruff check mytech tests
	$(BIN)/python -m pytest -q tests/test_notebooks.py

bench: .venv/test  ## figures that take time: load, crash and classifier, in full
	$(BIN)/python -m pytest tests --bench -m bench

README ?= README.md
readme: .venv/test  ## README.md from nbs/index.ipynb
	@$(BIN)/jupyter nbconvert --log-level ERROR --to markdown --stdout \
	  --RegexRemovePreprocessor.patterns='#\| hide' nbs/index.ipynb \
	  | sed -e 's#](\([a-z]*/\)#](nbs/\1#g' -e 's#](\([0-9][0-9]_\)#](nbs/\1#g' | cat -s > $(README)

lock:  ## resolve requirements.lock anew (needs uv)
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --no-annotate --no-header setup.py --output-file requirements.lock

clean:  ## forget the environment; data in artifacts/ stay
	rm -rf .venv build *.egg-info
