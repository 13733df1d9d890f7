# Driftline. `make` alone prints the targets; the comment after ## is the help.
# Another Python than python3: make setup PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages-installed
KAFKA := $(VENV)/.kafka-resolved
JIT_OFF := NUMBA_DISABLE_JIT=1 NUMBA_CACHE_DIR=$(CURDIR)/.cache/jit-off
BOUNDS := NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/.cache/boundscheck
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench chaos soak fuzz

help: ## show the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(PACKAGES) $(KAFKA) ## install everything into .venv, and Kafka's jars into a cache
	@echo "ready: make demo, make test, or $(BIN)/driftline --help"

demo: $(PACKAGES) $(KAFKA) ## a broker, a worker and real flights, faster than real time
	$(BIN)/driftline demo $(ARGS)

test: $(PACKAGES) $(KAFKA) ## the whole suite; then the kernels interpreted, and with bounds checks
	$(BIN)/python -m pytest $(ARGS)
	$(JIT_OFF) $(BIN)/python -m pytest -q -p no:cacheprovider -m "not slow" tests/kernels
	$(BOUNDS) $(BIN)/python -m pytest -q -p no:cacheprovider -m "not slow" tests/kernels

check: $(PACKAGES) ## lint, format, types, house tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/house

fuzz: $(PACKAGES) ## a million changed messages, a million changed fetches, millions of floats; many minutes
	$(BIN)/python -m pytest -m fuzz $(ARGS) tests/broker tests/stream/detect tests/kernels

bench: $(PACKAGES) $(KAFKA) ## all benchmarks; writes the tables of benchmarks/README.md
	$(BIN)/python -m benchmarks.run $(ARGS)

chaos: $(PACKAGES) $(KAFKA) ## every fault against the oracle; ARGS="-k proxy" for some
	$(BIN)/python -m pytest -m "faults or chaos" tests/system $(ARGS)

soak: $(PACKAGES) $(KAFKA) ## an hour at half capacity: memory, lag; ARGS="--minutes 5" for less
	$(BIN)/python -m benchmarks.soak $(ARGS)

# The stamps make a second run quick; they are older than what they were made from, or missing.
$(PACKAGES): requirements.lock pyproject.toml
	@.ci/tools python=$(PYTHON) $(if $(filter-out check,$(MAKECMDGOALS)),kafka)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(KAFKA): stream/kafka/pom.xml | $(PACKAGES)
	@.ci/tools kafka
	$(BIN)/python -c "from stream.kafka.install import install; print('Kafka:', install(print))"
	@touch $@
