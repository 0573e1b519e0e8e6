# make demo   set everything up and run the main job on made-up data: no account, no network service, no server
# make test   set everything up and run all tests
.PHONY: demo test lint format dev bench setup clean
.DEFAULT_GOAL := demo

PYTHON ?= python3
BIN := .venv/bin
DATA ?= data
UV := $(shell command -v uv 2>/dev/null)

.venv/.installed: requirements.lock pyproject.toml
ifdef UV
	test -x $(BIN)/python || uv venv --python $(PYTHON) .venv
	uv pip install --python $(BIN)/python -r requirements.lock
	uv pip install --python $(BIN)/python --no-deps -e .
else
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
endif
	touch $@

setup: .venv/.installed

demo: setup
	$(BIN)/hc demo --data-dir $(DATA)/demo

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(TESTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hc_platform

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: setup
	$(BIN)/hc ui --data-dir $(DATA)

bench: setup
ifdef UV
	uv pip install --python $(BIN)/python -r requirements-bench.lock
else
	$(BIN)/python -m pip install --quiet -r requirements-bench.lock
endif
	$(BIN)/python -m benchmarks.arcgis_download
	$(BIN)/python -m benchmarks.normalize
	$(BIN)/python -m benchmarks.end_to_end
	$(BIN)/python -m benchmarks.catalogue --scale 0 --compare 0.01
	$(BIN)/python -m benchmarks.joins
	$(BIN)/python -m benchmarks.charge
	$(BIN)/python -m benchmarks.charge_replay --days 31

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
