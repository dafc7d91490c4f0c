# Everything here works in .venv, which scripts/setup.sh makes and keeps up to date.
# PYTHON=/path/to/python3 chooses the interpreter it is made with.

.DEFAULT_GOAL := all
.NOTPARALLEL:
.PHONY: all help demo test lint docs bench bench-loop bench-containers bench-db bench-salvage bench-generations bench-report screenshots clean distclean

export PYTHON
ARGS ?=

all: test lint  ## the tests, then the checks of the source (this is what plain 'make' does)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo:  ## the whole thing on this machine: two real servers, a crash, the report (ARGS="DIR --keep")
	@scripts/setup.sh demo
	@.venv/bin/llamaagent demo $(ARGS)

test:  ## the tests with what this machine has (ARGS="-k words"; see docs/developing.md for TEST_INSTALL)
	@scripts/setup.sh test
	@scripts/test.sh $(ARGS)

lint:  ## form, rules, types, floors, spelling, docs up to date
	@scripts/setup.sh lint
	@scripts/lint.sh

docs:  ## write the generated parts of docs/ anew
	@scripts/setup.sh lint
	@COLUMNS=80 NO_COLOR=1 .venv/bin/cog -r docs/*.md README.md

bench:  ## what a pass costs, as a multiple of a bare Python start
	@scripts/setup.sh demo
	@.venv/bin/python scripts/bench.py $(ARGS)

bench-loop:  ## whether ten thousand passes of the loop leave memory behind
	@scripts/setup.sh demo
	@.venv/bin/python scripts/bench_loop.py $(ARGS)

bench-salvage:  ## rows saved over rows present, for 200 random damages of a real database (ARGS="TIMES SEED")
	@scripts/setup.sh demo
	@.venv/bin/python scripts/bench_salvage.py $(ARGS)

bench-containers:  ## what sampling ten containers costs, beside the engine's own statistics (root, docker.io)
	@scripts/setup.sh test
	@.venv/bin/python scripts/bench_containers.py $(ARGS)

bench-db:  ## whether questions stay fast with a year of history (ARGS="--keep DIR" keeps the files)
	@scripts/setup.sh demo
	@.venv/bin/python scripts/bench_db.py $(ARGS)

bench-generations:  ## asking with the cache off, cold and warm (ARGS="ASKINGS PROMPTS THREADS")
	@scripts/setup.sh demo
	@.venv/bin/python scripts/bench_generations.py $(ARGS)

bench-report:  ## what the report costs beside Munin's (ARGS="--passes" also starts ten servers)
	@scripts/setup.sh demo
	@.venv/bin/python scripts/bench_report.py $(ARGS)

screenshots:  ## the pictures of the README, from a real report
	@scripts/setup.sh test
	@.venv/bin/python scripts/screenshots.py $(ARGS)

clean:  ## remove what tools left behind; .venv and .cache stay
	rm -rf dist .build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## and the environment and the built llama-server too
	rm -rf .venv .cache
