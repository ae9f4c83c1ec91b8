# Needs Python 3.11+ and make. Everything else comes with the first target that asks for it.
PYTHON ?= python3
UV = .venv/bin/uv

.PHONY: demo test check unit fuzz clean

demo: .venv/ready ## play a seeded crash from the first liquidation to the end of ADL
	.venv/bin/delever demo

test: check unit ## what CI runs: format, lint, types, tests

check: .venv/ready
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

unit: .venv/ready
	.venv/bin/pytest -n 2

fuzz: .venv/ready ## the same property tests, a hundred times as many examples
	.venv/bin/pytest -n 2 --hypothesis-profile=long tests

clean:
	rm -rf .venv dist

.venv/ready: pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --editable '.[dev]'
	touch $@
