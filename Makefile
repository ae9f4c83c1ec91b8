# Needs make and Python 3.11 or newer. The rest comes with the first target that asks for it.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$python && break; done)

.PHONY: demo serve test check unit browser fuzz bench bench-large docs venue clean

demo: .venv/ready ## play a seeded crash from the first liquidation to the end of ADL
	.venv/bin/delever demo

test: check unit ## what CI runs: format, lint, types, tests

check: .venv/ready
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

unit: .venv/ready browser
	.venv/bin/pytest -n 2 --dist loadfile

browser: ## the tests' browser: Debian's Chromium, installed where there is none
	@command -v chromium-headless-shell chromium >/dev/null || { \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium-headless-shell >/dev/null; }

serve: .venv/ready ## the whole server, playing the demonstration's crash in real time
	.venv/bin/delever serve --demo

fuzz: .venv/ready ## the same property tests, at random and a hundred times as far
	.venv/bin/pytest -n 2 --dist loadfile --hypothesis-profile=long tests

docs: .venv/ready ## write the generated pages of docs
	.venv/bin/python docs/generate.py

venue: .venv/ready ## start the rule set of a new venue: make venue NAME=acme
	.venv/bin/python docs/new_venue.py '$(NAME)'

bench: .venv/ready ## measure delever beside C, DuckDB, Polars and Redis; writes docs/results/performance.md
	.venv/bin/python benchmarks/run.py

bench-large: .venv/ready ## the same with ten million positions, beside the page: .venv/performance-large.md
	.venv/bin/python benchmarks/run.py --positions 10000000 --rounds 3 --output .venv/performance-large.md

clean:
	rm -rf .venv build dist

.venv/ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo 'make: no Python 3.11 or newer found; say make PYTHON=...' >&2; exit 1; }
	test -x .venv/bin/uv || $(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	.venv/bin/uv pip install --quiet --python .venv/bin/python --editable '.[dev]'
	touch $@
