# Everything a person or a machine does here, by one name each. Needs make and Python >= 3.11.
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
JOBS   ?= 4
DROPS  ?= 500
EXAMPLES ?= 50
SEEDS  ?= 1000
FIRST  ?= 1
MINUTES ?= 60
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCKS  := requirements.lock requirements-build.lock
# Files in their order: those of tests/unit, which are short, fill up the end.
SPREAD := --dist loadfile --no-loadscope-reorder
# The two files that take longest begin first, eight minutes of waiting and of one core.
HEAVY  := -m heavy tests/chaos/test_simulator.py tests/hostile/test_every_field_v1.py tests/hostile \
	tests/chaos tests/acceptance tests/integration

# Tests start Python some thousand times: without its compiled files each start takes a third longer.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-heavy test-all checked compiled check format bench chaos drops fuzz soak lock wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  Options: PYTHON=python3.12 (for the virtualenv), ARGS="..." (for demo, test and bench), JOBS=4 (test files side by side)'

demo: $(VENV)/.installed ## Embedded database, recorded chain, filled tables (ARGS="--once" ends by itself)
	@$(BIN)/vesu-indexer demo $(ARGS)

test: checked ## All checks, then the tests but for the heavy ones (ARGS="-k NAME" for some)
	@echo 'pytest'
	@$(BIN)/python -m pytest -q -n $(JOBS) $(SPREAD) -m 'not heavy' $(ARGS)

test-heavy: $(VENV)/.installed-dev ## The heavy tests alone
	@echo 'pytest, the heavy tests'
	@$(BIN)/python -m pytest -q -n $(JOBS) $(SPREAD) $(HEAVY) $(ARGS)

test-all: checked ## All checks, then all tests, the heavy ones too
	@echo 'pytest, the heavy tests too'
	@$(BIN)/python -m pytest -q -n $(JOBS) $(SPREAD) $(ARGS)

checked: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory --jobs=2 check compiled

# Beside mypy, which takes one core: each worker would compile all tests for itself. What cannot be
# collected is told by pytest.
compiled: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -q --collect-only > $(VENV)/collected.txt 2>&1 || true

check: $(VENV)/.installed-dev ## Format, lint, types, rooms; changes nothing
	@echo 'ruff format --check'
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check . ; echo 'make format puts it right'; exit 1; }
	@echo 'ruff check'
	@$(BIN)/ruff check --quiet .
	@echo 'mypy'
	@$(BIN)/mypy --no-error-summary
	@echo 'lint-imports'
	@$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.txt || { cat $(VENV)/lint-imports.txt; exit 1; }

format: $(VENV)/.installed-dev ## Format the code and apply the linter's safe fixes
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## All benchmarks, a JSON line a run; writes them and their table into docs/
	@$(BIN)/python -m benchmarks.table --out docs/benchmarks.jsonl $(ARGS)
	@$(BIN)/python -m benchmarks.page

chaos: $(VENV)/.installed-dev ## Forks, kills, faults and outages by seed (SEEDS=1000 FIRST=1 MINUTES=60 ARGS=--odd)
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) --first $(FIRST) --minutes $(MINUTES) $(ARGS)

soak: $(VENV)/.installed-dev ## An hour at the head, faults on, memory must stay flat (MINUTES=60)
	@$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES) $(ARGS)

fuzz: $(VENV)/.installed-dev ## What the API's OpenAPI document allows and forbids, asked at random (EXAMPLES=50)
	@VESU_TEST_FUZZ=$(EXAMPLES) $(BIN)/python -m pytest -q -s tests/acceptance/test_api_fuzz.py $(ARGS)

drops: $(VENV)/.installed-dev ## Events left out of answers at random: found by verify (DROPS=500)
	@VESU_TEST_DROPPINGS=$(DROPS) $(BIN)/python -m pytest -q -s tests/chaos/test_droppings.py $(ARGS)

lock: $(VENV)/.python ## Pin the newest fitting versions anew (with their hashes, without any address)
	@$(PIP) install uv
	@$(call compile,requirements.lock,pyproject.toml)
	@$(call compile,requirements-build.lock,--group build -c requirements.lock)
	@$(call compile,requirements-dev.lock,pyproject.toml --group dev -c requirements.lock)

wheel: $(VENV)/.installed ## Build the wheel into dist/
	@$(PIP) wheel . --no-deps --no-build-isolation --wheel-dir dist
	@ls dist/*.whl

clean: ## Remove the virtualenv, caches and built files; data stays
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call compile,LOCK,SOURCES): for every platform and Python that pyproject.toml allows.
compile = echo '$(1)' && $(BIN)/uv --quiet --no-config pip compile --universal --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 $(2) -o $(1)

# Stamps: each step is done again only when what it was made from has changed.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'error: $(PYTHON) is missing or older than Python 3.11: name another one, as in make PYTHON=python3.12' >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'error: $(PYTHON) cannot make virtualenvs: install its venv package (on Debian: apt-get install python3-venv)' >&2; exit 2; }
	@echo 'creating $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python $(LOCKS) pyproject.toml
	@echo 'installing what runs (once, about a minute)'
	@$(PIP) install --require-hashes $(addprefix -r ,$(LOCKS))
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo 'installing what tests (once, about a minute)'
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
