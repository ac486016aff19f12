# make run: set up .venv, run the main job.   make check: ruff, pyright.   make test: the tests.   make bench: the benchmarks (installs torch).   See README.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SHARE ?= 1/1
OUT ?= out/$(if $(filter bench,$(MAKECMDGOALS)),bench,mechanisms)

.PHONY: run check test test-all test-slow test-for bench docs clean python

run: $(VENV)/.installed
	$(BIN)/python -m sims.mechanisms --out $(OUT)

# What a change should not break.
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests -n auto --dist worksteal -m "not long and not slow" $(ARGS)

# Those, the contract, meshes, processes, simulations, documents and all doctests.
test-all: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

# The rest: far tails, power, full budgets, every case of every matrix. SHARE=2/48 runs the second of 48 parts.
test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow --share $(SHARE) $(ARGS)

# The tests and doctests of one module, but the slow ones: make test-for F=measure/tails/index. One without a test file has those of its package.
PACKAGE = $(patsubst %/,%,$(dir $(F)))
TESTS = tests/$(dir $(F))test_$(patsubst _%,%,$(patsubst __%__,%,$(notdir $(F)))).py tests/$(dir $(PACKAGE))test_$(notdir $(PACKAGE)).py $(filter-out tests/.,tests/$(PACKAGE))
test-for: $(VENV)/.installed-test
	@test -e meanfield/$(F).py || { echo "There is no meanfield/$(F).py: name a module as in make test-for F=measure/tails/hill." >&2; exit 1; }
	$(BIN)/python -m pytest -q -m "not slow" meanfield/$(F).py $(firstword $(wildcard $(TESTS))) $(ARGS)

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.run --out $(OUT) $(ARGS)

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

# The stamps are older than pyproject.toml only when it changed: a second call installs nothing.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

$(VENV)/bin/python: | python
	$(PYTHON) -m venv $(VENV)

python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "meanfield needs Python 3.11 or newer, but there is no '$(PYTHON)'. Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "meanfield needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }

clean:
	rm -rf .venv .venv-newest out site
