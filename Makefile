# Every chore has one verb. `make help` lists them.
# Targets that another one needs are files in .venv, so a second call is quick. Paths may hold spaces: everything is
# relative to this folder, and quoted where it is not.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= auto
DEMO ?=
BENCH ?=

# Usage reports of the dependencies are off, in tests too.
export GX_ANALYTICS_ENABLED := False
export DO_NOT_TRACK := 1

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: $(READY) ## install everything into .venv

$(READY): requirements-dev.txt pyproject.toml .ci/setup
	@.ci/setup

.PHONY: demo
demo: setup ## one whole day, end to end; writes var/demo/summary.json (DEMO="--subjects 500": more options)
	@$(BIN)/chengxin demo $(DEMO)

.PHONY: up
up: setup ## the same day, then Airflow, sandbox and mail catcher stay until Ctrl-C
	@$(BIN)/chengxin up $(DEMO)

.PHONY: test
test: lint ## lint, types, and all tests that need no server
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not services and not long"

.PHONY: test-services
test-services: setup ## tests with real servers, a browser, or several days (installs Debian packages where missing)
	@.ci/services
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "services and not long"

.PHONY: test-long
test-long: setup ## tests that take longer than CI allows
	@.ci/services
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m long

.PHONY: lint
lint: setup ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: setup ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: trial
trial: setup ## the same code on real public data: make trial DATA=<folder>
	@$(if $(DATA),,$(error say where the data is: make trial DATA=<folder>))
	@$(BIN)/chengxin trial "$(DATA)"

.PHONY: bench
bench: setup ## benchmarks with their peers in the same run; writes benchmarks/RESULTS.md (BENCH="--repeats 1": options)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@$(BIN)/python benchmarks/harvest.py $(BENCH)
	@$(BIN)/python benchmarks/validate.py $(BENCH)
	@$(BIN)/python benchmarks/parse.py $(BENCH)
	@$(BIN)/python benchmarks/warn.py $(BENCH)
	@$(BIN)/python benchmarks/pages.py
	@$(BIN)/python benchmarks/check.py $(BENCH)
	@$(BIN)/python benchmarks/growth.py $(BENCH)
	@$(BIN)/python benchmarks/memory.py $(BENCH)
	@$(BIN)/python benchmarks/day.py $(BENCH)

.PHONY: docs
docs: setup ## write the generated pages (DAGS, POLICY, DATA)
	@$(BIN)/chengxin docs

.PHONY: lock
lock: setup ## compile the requirements files from pyproject.toml
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
		pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
		--extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
		--extra bench -c requirements-dev.txt pyproject.toml -o requirements-bench.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
		--extra production -c requirements-dev.txt pyproject.toml -o requirements-production.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
		--extra spark -c requirements-dev.txt pyproject.toml -o requirements-spark.txt

.PHONY: clean
clean: ## remove what runs and tools wrote; .venv stays
	@rm -rf var build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
