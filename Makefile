# Everything a newcomer needs. `make` lists the targets.

# The constraints hold for every Python from 3.11 on; they were resolved on 3.11.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c "" 2>/dev/null && echo $$p && break; done)
# Where torch comes from; without it, from the usual index. A machine without a GPU saves gigabytes with
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
SOURCES := protos services trainer ops
PIP_INSTALL = $(BIN)/pip install --constraint constraints.txt --build-constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format weights clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Create .venv with all that is needed, stubs included

$(STAMP): pyproject.toml constraints.txt $(wildcard protos/build.py protos/sparring/v1/*.proto)
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.3"
	$(if $(TORCH_INDEX),$(PIP_INSTALL) --no-deps --index-url $(TORCH_INDEX) torch)
	$(PIP_INSTALL) --editable ".[test]"
	touch $@

demo: $(STAMP) ## Play a short campaign and watch a defender become robust (about 8 minutes on 2 cores)
	$(BIN)/sparring demo

lint: $(STAMP) ## Check style, types, the rooms' walls and the contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy protos/build.py $(foreach root,$(SOURCES),$(root)/sparring)
	$(BIN)/lint-imports
	$(BIN)/python protos/build.py --lint

test: lint ## Run the checks and all tests
	$(BIN)/pytest -n 2

format: $(STAMP) ## Put the code into the house's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

weights: $(STAMP) ## Make the small weights anew (hours)
	$(BIN)/sparring make-weights

clean: ## Remove what was built, the environment included
	rm -rf $(VENV) dist build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find protos -name '*_pb2*' -delete
