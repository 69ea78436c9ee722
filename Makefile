# Commands for a contributor: setup, demo, test (or test-all), lint, docs, bench, device.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# `make demo WORKERS=2` builds with two processes; needs no other package than `make setup` installs.
WORKERS ?=
BUILD_OPTIONS = $(if $(WORKERS),--workers $(WORKERS))
# Compiled modules are kept, even if the environment says otherwise: the tests start many processes that import them.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: setup demo test test-fast test-slow test-all lint docs bench device clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

demo: $(STAMP)
	mkdir -p demo
	cd demo && ../$(BIN)/xsns-stream build --lang all --examples 48 --batch 8 $(BUILD_OPTIONS)
	cd demo && ../$(BIN)/xsns-stream matrix -o matrix.png -o matrix.csv
	cd demo && ../$(BIN)/xsns-stream rank --target sw
	@echo
	@echo "Made in demo/: xsns.zarr (the sub-networks), matrix.csv (all pairs), matrix.png (look at it)."
	@echo "The text was 48 news sentences of each language (NTREX-128): enough to try the tool."
	@echo "Next, with text of your own:  $(BIN)/xsns-stream build --corpus FOLDER --store mine.zarr"
	@echo "                              $(BIN)/xsns-stream rank --store mine.zarr --target LANG"

# Every test that shows behaviour. The checks of `lint` run beside the tests, because they use one core only.
test: $(STAMP)
	$(MAKE) --no-print-directory --jobs=2 lint test-fast

test-fast: $(STAMP)
	$(PYTEST)

# The tests that take long: all models in all precisions, killed writers, the benchmarks in smoke mode.
test-slow: $(STAMP)
	$(PYTEST) -m slow

test-all: test test-slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation site. Every warning is an error: a link that leads nowhere, or a page that no other page leads to.
docs: $(STAMP)
	$(BIN)/python -m sphinx -E -q -W -n --keep-going -b html -d docs/_build/trees docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: $(STAMP)
	$(BIN)/python benchmarks/bench_build.py
	$(BIN)/python benchmarks/bench_matrix.py

# Tests and benchmarks of a GPU, about ten minutes; the result is one file.
device: $(STAMP)
	$(BIN)/python benchmarks/device.py -o benchmarks/results/device.json

clean:
	rm -rf demo docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
