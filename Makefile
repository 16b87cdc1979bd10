# What can be made here. Everything lands in .venv, but for the Debian packages that the tests need.
#
#   make demo    a real kernel: %kfwd up, %portforward, a page from the pod, the live table
#   make test    everything that is checked: lint, then all rings of tests
#   make check   the rings that need nothing but the interpreter, in less than a minute
#   make lint    ruff, mypy, import-linter
#   make bench   times, rates and memory
#   make lab     JupyterLab with the notebooks
#   make docs    the documentation, in docs/_build/html
#   make clean   remove what was made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory --no-builtin-rules

# A user without a home, as in a bare container: programs want one all the same.
ifeq ($(and $(strip $(HOME)),$(wildcard $(HOME)/.)),)
export HOME := $(CURDIR)/$(VENV)/home
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

# For the tutorials; the packages have binaries for this kind of machine only.
KUBECTL := $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),$(VENV)/kubectl/kubectl-1.37)

.PHONY: demo test check lint bench lab docs clean debian
.DELETE_ON_ERROR:

demo: $(VENV)/.with-tutorial
	@$(BIN)/python -m kfwd_nb.notebook.demo

test: debian lint $(VENV)/.kubectl
	@$(BIN)/python -m pytest

check: $(VENV)/.with-test
	@$(BIN)/python -m pytest -m pure -q

lint: $(VENV)/.with-test
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > $(VENV)/.lint-imports || { cat $(VENV)/.lint-imports; exit 1; }

bench: debian $(VENV)/.with-test $(VENV)/.kubectl
	@$(BIN)/python tests/bench

lab: $(VENV)/.with-lab $(KUBECTL)
	@PATH="$$PATH:$(CURDIR)/$(VENV)/kubectl" $(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks

docs: $(VENV)/.with-docs
	@$(BIN)/python -m sphinx -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf $(VENV) docs/_build docs/tutorials .bench build dist htmlcov .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

debian:
	@.ci/debian-packages

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kfwd_nb needs Python 3.11 or newer: make PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/debian-packages venv
	@$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras; made again when the requirements change.
$(VENV)/.with-%: pyproject.toml | $(VENV)/bin/python
	@mkdir -p "$$HOME"
	@echo "installing kfwd_nb[$*] into $(VENV), once; it may take some minutes"
	@$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

$(VENV)/kubectl/kubectl-1.37: | $(VENV)/bin/python
	@.ci/kubectl $(BIN)/python $(VENV)/kubectl 1.37

# Real clients of several versions, for the tests.
$(VENV)/.kubectl: .ci/kubectl | $(VENV)/bin/python
	@.ci/kubectl $(BIN)/python $(VENV)/kubectl
	@touch $@
