# `make help` lists the targets. Everything is installed into .venv, always through constraints.txt.
# The first of these that runs and is 3.11 to 3.13 (a version manager's shim may be on PATH and not run).
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell $(p) -c \
	'import sys; (3, 11) <= sys.version_info[:2] < (3, 14) and print("$(p)")' 2>/dev/null)))
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
WORKERS ?= 2
# Where this is set, as in some containers, every process that a test starts would compile the package anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install install-locked release-tools lock audit licences run test test-slow test-all lint format tiny bench bench-gpu bench-data bench-descent bench-scaling bench-evaluation bench-quality bench-real bench-collapse profile golden fuzz mutants soak soak-long kills hostile clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# pip compiles with one processor; this with all of them, but for the tests of packages. What no Python compiles, examples,
# is left as it is.
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x /tests/ $(VENV)/lib mollm_cli || true

install: $(STAMP) ## install the package and its development tools into .venv
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || test -n "$(PYTHON)" || { echo "needs Python 3.11, 3.12 or 3.13; make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(COMPILE)
	touch $(STAMP)

install-locked: ## the same from constraints.lock alone: these files, by their hashes (its machine and Python only)
	@test -x $(BIN)/python || test -n "$(PYTHON)" || { echo "needs Python 3.11, 3.12 or 3.13; make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes --no-deps -r constraints.lock
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps -e .
	$(COMPILE)
	touch $(STAMP)

release-tools: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[release]"

lock: release-tools ## constraints.lock: every package of an installation by its hashes, for this platform and Python
	$(BIN)/uv pip compile pyproject.toml --extra dev --constraint constraints.txt --python $(BIN)/python \
		$(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --quiet --output-file constraints.lock

audit: release-tools ## the locked packages against a public database of advisories (exit 1: some are known)
	$(BIN)/pip-audit --require-hashes --disable-pip --vulnerability-service osv --requirement constraints.lock

licences: release-tools ## docs/LICENCES.md: the licence of every installed package, as its own metadata says
	$(BIN)/pip-licenses --format=markdown --order=name --output-file docs/LICENCES.md

run: install ## the main job: the embedded model forgets the embedded authors, offline, in one to two minutes
	HF_HUB_OFFLINE=1 $(BIN)/mollm-unlearn

test: install lint ## lint, strict types, import contracts, then all tests but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-slow: install ## the slow tests: several processes, sweeps, kills, audits, large plans
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow $$(grep -rl "mark\.slow" tests --include="test_*.py")

test-all: install lint ## lint, then both, collected once
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: install ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tiny: install ## rebuild the embedded data, tokenizer, model and oracle (seeded)
	bash embedded/build.sh $(BIN)

bench: install ## CPU benchmarks (half an hour): time and memory of a step, its growth, losses, evaluation; outputs/bench/speed.json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed --scaling
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.loss_memory
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.per_example

bench-gpu: install ## the same on a CUDA device, in bfloat16, and models of 1 to 8 B: tokens per second, share of the peak, memory
	$(BIN)/python -m benchmarks.gpu

bench-descent: install ## the descent record: guard off and on, both metrics, on the embedded model; cost of a step
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.descent

bench-scaling: install ## two processes at one step, beside two that do not communicate; outputs/bench/scaling.json
	OMP_NUM_THREADS=1 $(BIN)/torchrun --nproc-per-node 2 -m benchmarks.scaling

bench-data: install ## padding share and tokens per second with and without length buckets
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.data

bench-evaluation: install ## where the time of an evaluation goes: the full suite on the embedded model, and TOFU's rows
	$(BIN)/python -m benchmarks.evaluation

bench-quality: install ## every loss at matched forgetting on the embedded task; resumable; writes docs/BENCHMARKS.md and its rows
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.quality --page docs/BENCHMARKS.md

bench-real: install ## one person forgotten from a real model, 40 minutes; REAL='--model gemma', '--task tofu', ...; docs/BENCHMARKS.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.real $(REAL) --page docs/BENCHMARKS.md --short README.md

bench-collapse: install ## 20 short runs with no rate typed, 656 thousand to 270 million parameters: does one collapse a model? Resumable
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.real_collapse --page docs/BENCHMARKS.md

profile: install ## the ten most expensive operations of a MOLLM step, and a trace; outputs/bench/profile.json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.profile --row mollm

golden: install ## rewrite the golden losses; then say why in CHANGELOG.md under Numerics
	$(BIN)/python -m tests.golden.regenerate

fuzz: install ## 2,000 generated command lines: exit code 0 or 2, a short message, nothing left behind
	OMP_NUM_THREADS=1 MOLLM_FUZZ=2000 $(BIN)/python -m pytest tests/e2e/test_command_lines.py

mutants: install ## 400 small faults in the sources, one at a time: does a test notice? An hour; resumable
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.mutants --jobs $(WORKERS)

soak: install ## 2,000 steps with 50 kills and more, against an undisturbed run; outputs/bench/soak.json
	$(BIN)/python -m benchmarks.soak

soak-long: install ## the same with 10,000 steps and 200 kills
	$(BIN)/python -m benchmarks.soak --steps 10000 --kills 220 --least 200 --out outputs/bench/soak-long.json

kills: install ## the embedded run killed at random, 40 times on one process and 10 on two; outputs/bench/kills.json
	$(BIN)/python -m benchmarks.kills

hostile: install ## every generated hostile input against the real commands; docs/SECURITY.md and outputs/bench/hostile.json
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.support.hostile.survey --out outputs/bench/hostile.json --page docs/SECURITY.md

clean: ## remove .venv and caches (outputs/ stays)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
