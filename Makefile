# `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# The Python that builds the environment: PYTHON=/path/to/python3.12 make setup
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done

# What `make sweep` reads. Empty: a simulated hospital is made in demo-hospital/ and swept.
ARCHIVE ?=
# More words for `ovf sweep`, such as SWEEP_OPTIONS="--workers 8 --profile lenient"
SWEEP_OPTIONS ?=
DEMO := demo-hospital

.PHONY: help
help:  ## this list
	@echo "ovf: finds the osteoporotic vertebral fractures that nobody reported."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

# ---- environment

.PHONY: setup
setup: $(STAMP)  ## build the environment .venv from constraints.txt (does nothing when it is up to date)

$(STAMP): pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" bash scripts/make-venv.sh "$(VENV)"
	@touch $@

# ---- the job

.PHONY: sweep
sweep: setup  ## sweep a simulated hospital; make sweep ARCHIVE=/path sweeps your own folder
ifeq ($(strip $(ARCHIVE)),)
	@# the truth is written last: without it the simulated hospital was interrupted
	@if [ ! -e "$(DEMO)/truth_vertebrae.csv" ]; then rm -rf "$(DEMO)"; $(BIN)/ovf demo "$(DEMO)" --patients 24 --seed 1; fi
	$(BIN)/ovf sweep "$(DEMO)/archive" $(SWEEP_OPTIONS)
else
	$(BIN)/ovf sweep "$(ARCHIVE)" $(SWEEP_OPTIONS)
endif

# ---- every night

.PHONY: deploy-local
deploy-local: setup  ## Prefect with login, a pool and a worker on loopback; one sweep through them (ARCHIVE=)
	$(BIN)/python scripts/deploy_local.py $(if $(strip $(ARCHIVE)),--archive "$(ARCHIVE)")

.PHONY: nightly-demo
nightly-demo: setup  ## a PACS (Debian's Orthanc), a scheduled night, results back in the PACS, a second night
	$(BIN)/python scripts/nightly_demo.py

# ---- gates

# Files of tests are dealt out to this many processes, of 1.5 GB each: one more than cores, since some tests wait for
# servers. In the order of their names, not the fullest first: those with few but long tests would come last, and one
# process would wait.
TEST_PROCESSES ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 7 ? n + 1 : 8 )))
# One thread each: two on as many cores as processes wait for one another, and burn the time that they wait.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: check
check: setup  ## format, lint, types, architecture (a minute)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/unit/test_architecture.py

.PHONY: quick
quick: setup  ## fast tests: those of units and properties (a few minutes)
	$(PYTEST) tests/unit tests/property -m "not slow and not chaos and not long"

.PHONY: test
test: setup  ## all tests but those of `make long` and `make chaos`
	$(PYTEST)

.PHONY: long
long: setup  ## more disturbed sweeps: full disk, a worker that dies late, Prefect away, other order (some minutes)
	$(BIN)/pytest -m long

.PHONY: chaos
chaos: setup  ## sweeps killed at random moments, compared with undisturbed ones (long)
	$(BIN)/pytest -m chaos

.PHONY: faults
faults: setup  ## rows of docs/faults.md that no test is named after
	@$(BIN)/python tests/fault_coverage.py

.PHONY: bench
bench: setup  ## the benchmarks, or some rows: make bench ROWS=1,2 (docs/benchmarks.md)
	@$(BIN)/python -c 'import SimpleITK' 2>/dev/null || $(BIN)/pip install -q -c constraints.txt SimpleITK
	$(BIN)/python -m benchmarks $(ROWS)

# What `make explain` looks at.
MODEL ?= ovf-phantom-2
SCANS ?= 100

.PHONY: explain
explain: setup  ## does the peak of a model's occlusion map lie on the fractured vertebra? (minutes; MODEL=, SCANS=)
	$(BIN)/python -m benchmarks.explain --model "$(MODEL)" --scans $(SCANS)

.PHONY: coverage
coverage: setup  ## how often the intervals of an audit hold the truth: 5,000 simulated hospitals (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.coverage

.PHONY: wheels
wheels: setup  ## a folder of wheels, for machines without a network (docs/install-offline.md)
	$(BIN)/python -m pip wheel -q -c constraints.txt --no-build-isolation -w wheels . pip setuptools
	rm -rf build
	@ls wheels | wc -l | xargs -I{} echo "{} wheels in wheels/"

.PHONY: format
format: setup  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: clean
clean:  ## remove what was built: environment, caches, the simulated hospital; never a warehouse
	rm -rf $(VENV) build dist wheels *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis "$(DEMO)"
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
