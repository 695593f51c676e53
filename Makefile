# quickstart and test work on a machine with Python 3.11 and make only: the first call creates .venv
# and installs from the lock files, later calls install nothing.

PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCKS := requirements-torch.lock requirements-cpu.lock
INSTALLED := .venv/.installed-$(shell cat $(LOCKS) setup.py | sha256sum | cut -c1-16)
TORCH_INDEX := https://download.pytorch.org/whl/cpu
WRONG_PYTHON := "Python 3.11 is needed: make PYTHON=/path/to/python3.11"

.PHONY: quickstart install test test-faults soak lint format docs bench

quickstart: install
	$(BIN)/assay train quickstart --new

install: $(INSTALLED)

$(INSTALLED): $(LOCKS) setup.py
	@echo "Installing into .venv: about 4 GB, three minutes"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and $(WRONG_PYTHON))'
	$(PYTHON) -m venv .venv
	@# The CPU build of torch from wherever pip looks, else from torch's own index.
	$(PIP) install -q --no-deps -r requirements-torch.lock 2>.venv/torch.log || \
	  $(PIP) install -q --no-deps -r requirements-torch.lock --index-url $(TORCH_INDEX) || \
	  { echo "The first attempt, without --index-url, ended so:"; cat .venv/torch.log; exit 1; } >&2
	$(PIP) install -q --no-deps --require-hashes -r requirements-cpu.lock
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@rm -f .venv/.installed-*
	@touch $@

test: install
	$(BIN)/pytest -m "not long" tests

test-faults: install
	$(BIN)/pytest tests/faults -m "not soak"

soak: install
	$(BIN)/pytest tests/faults -m soak --timeout 3600

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	$(BIN)/python -m configs.reference

bench: install
	@for name in $$($(BIN)/python -m benchmarks | cut -d' ' -f1); do \
	  $(BIN)/python -m benchmarks $$name || exit 1; done
