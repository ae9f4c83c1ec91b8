# Needs make and Python 3.11 or newer; each target installs what it needs, as constraints.txt pins it.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$python && break; done)
SEED ?= $(shell date +%s)
STEPS ?= 100000000
SEEDS ?= 1
COMMANDS ?= 10000
comma := ,
UV := .venv/bin/uv
# Tests often wait for other processes, so that three workers use two cores better than two.
PYTEST_OPTIONS := -n 3 --dist loadfile
PYTEST := .venv/bin/pytest $(PYTEST_OPTIONS)

# Install delever, with extras, into a virtual environment: $(call install,FOLDER,EXTRAS,CONSTRAINTS).
# An environment apart (other clients, a cluster) is a folder, a file of constraints and a stamp.
install = $(UV) pip install --quiet --python $(1)/bin/python --editable '.$(2)' \
	$(if $(3),--constraints $(3) --build-constraints constraints.txt)

.PHONY: help demo serve test check unit browser test-random test-latest slow sim chaos fuzz mutation coverage \
	bench bench-large docs site venue dist upgrade clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: .venv/base ## play a seeded crash from the first liquidation to the end of ADL
	.venv/bin/delever demo

serve: .venv/server ## run the whole server, playing the crash of the demo in real time
	.venv/bin/delever serve --demo

test: check unit ## run what CI runs: format, lint, types, tests

check: .venv/dev ## check format, lint and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

unit: .venv/dev browser ## run the tests
	$(PYTEST)

browser: ## install the browser of the tests, Debian's Chromium, where there is none
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || { \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium-headless-shell >/dev/null; }

test-random: .venv/dev browser ## run the tests in random order; SEED=n repeats an order
	$(PYTEST) --random-order --random-order-seed=$(SEED)

test-latest: .venv-latest/dev browser ## run the tests with the newest release of every dependency
	.venv-latest/bin/pytest $(PYTEST_OPTIONS)

slow: .venv/dev browser ## run the slow tests too, and the property tests a hundred times as far
	$(PYTEST) -m '' --hypothesis-profile=long

sim: .venv/dev ## run the fault simulation for STEPS=n steps (10^8) from SEED=n on; see docs/testing.md
	.venv/bin/python tests/fault_simulation/delever_sim.py --seed $(SEED) --steps $(STEPS)

chaos: .venv/dev ## inject faults into three replicas and three brokers: SEED=n, SEEDS=n, COMMANDS=n
	PYTHONPATH=tests .venv/bin/python tests/replication/chaos.py --seed $(SEED) \
		--seeds $(SEEDS) --commands $(COMMANDS)

fuzz: .venv-fuzz/fuzz ## let atheris search every parser for a minute
	.venv-fuzz/bin/python benchmarks/fuzz.py

mutation: .venv-mutation/mutation ## mutate what decides about money, and count what the tests find; see docs/testing.md
	.venv-mutation/bin/python benchmarks/mutation.py --seed $(SEED)

coverage: .venv/dev browser ## measure which lines the tests run; writes htmlcov/
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html

venue: .venv/dev ## start the rule set of a new venue: make venue NAME=acme
	.venv/bin/python docs/new_venue.py '$(NAME)'

bench: .venv/dev ## measure delever beside C, DuckDB, Polars, Redis; writes docs/results/performance.md
	.venv/bin/python benchmarks/run.py

bench-large: .venv/dev ## measure ten million positions; writes .venv/performance-large.md
	.venv/bin/python benchmarks/run.py --positions 10000000 --rounds 3 --output .venv/performance-large.md

docs: .venv/dev ## write the generated pages of docs
	.venv/bin/python docs/generate.py

site: .venv-docs/docs ## build the site, with the Python reference and executed notebooks: build/site
	NO_MKDOCS_2_WARNING=1 PATH="$(CURDIR)/.venv-docs/bin:$$PATH" .venv-docs/bin/mkdocs build --strict
	.venv-docs/bin/python docs/site_check.py build/site

dist: .venv/dev ## build wheel and sdist; install each extra of the wheel alone and run the demo with it
	.ci/dist

upgrade: .venv/uv ## pin the newest release of every dependency in constraints.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--no-emit-index-url --no-header --no-annotate pyproject.toml --output-file constraints.txt

clean: ## remove environments and builds
	rm -rf .venv .venv-* build dist htmlcov .coverage

# Stamps: what is installed in an environment.

.venv/uv: constraints.txt
	@test -n "$(PYTHON)" || { echo 'make: no Python 3.11 or newer found; run make PYTHON=...' >&2; exit 1; }
	test -x .venv/bin/pip || $(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

.venv/base: .venv/uv pyproject.toml
	$(call install,.venv,,constraints.txt)
	@touch $@

.venv/server: .venv/uv pyproject.toml
	$(call install,.venv,[fast$(comma)server],constraints.txt)
	@touch $@

.venv/dev: .venv/uv pyproject.toml
	$(call install,.venv,[dev],constraints.txt)
	@touch $@ .venv/base .venv/server

.venv-docs/docs: .venv/uv pyproject.toml
	test -x .venv-docs/bin/python || $(UV) venv --quiet --python .venv/bin/python .venv-docs
	$(call install,.venv-docs,[docs$(comma)plot],constraints.txt)
	@touch $@

.venv-latest/dev: .venv/uv FORCE
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-latest
	$(call install,.venv-latest,[dev])

.venv-fuzz/fuzz: .venv/uv pyproject.toml constraints-fuzz.txt
	test -x .venv-fuzz/bin/python || $(UV) venv --quiet --python .venv/bin/python .venv-fuzz
	$(call install,.venv-fuzz,[fast$(comma)server]' 'atheris,constraints-fuzz.txt)
	@touch $@

.venv-mutation/mutation: .venv/uv pyproject.toml constraints-mutation.txt
	test -x .venv-mutation/bin/python || $(UV) venv --quiet --python .venv/bin/python .venv-mutation
	$(call install,.venv-mutation,[fast]' 'pytest' 'hypothesis' 'cosmic-ray,constraints-mutation.txt)
	@touch $@

.venv-ray/ray: .venv/uv pyproject.toml constraints-ray.txt
	test -x .venv-ray/bin/python || $(UV) venv --quiet --python .venv/bin/python .venv-ray
	$(call install,.venv-ray,[fast]' 'pytest' 'ray,constraints-ray.txt)
	@touch $@

FORCE:
