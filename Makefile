# Every task of the project. Only Python 3.11+ and make are needed; the rest installs into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
T      ?= tests

# Compiled modules are kept, whatever the caller's shell says: a hundred processes import us.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo demo-mcp test test-slow check lint types imports fmt bench docs lock schema clean

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

install: $(READY)  ## Install everything, as locked, into .venv

$(READY): pyproject.toml requirements/dev.txt
	@echo "Installing into $(VENV) (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)  ## Play the whole story on real parts: exchange, refusals, second hop, lock
	@$(BIN)/delegation demo

demo-mcp: $(READY)  ## Play the story of MCP servers: an agent, both frameworks, a step-up, a lock
	@$(BIN)/python docs/examples/run.py

test: $(READY)  ## All tests but the slow ones (T=path for some of them)
	$(BIN)/python -m pytest -m "not slow" --numprocesses=2 --dist=loadfile $(if $(filter-out tests,$(T)),,--cov=delegation) $(T)

test-slow: $(READY)  ## All tests
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --hypothesis-profile=thorough $(T)

check: lint types imports  ## What must hold besides the tests

lint: $(READY)  ## Style, spelling, docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/interrogate delegation tests

types: $(READY)  ## Types, strictly
	$(BIN)/mypy

imports: $(READY)  ## Which package may import which
	$(BIN)/lint-imports --no-cache

fmt: $(READY)  ## Format, and mend what can be mended mechanically
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## What an exchange costs, as ratios (A='all', A='--json FILE', A='--compare FILE')
	$(BIN)/python -m tests.benchmarks $(A)

schema: $(READY)  ## Write what is generated in docs/reference anew
	$(BIN)/delegation registry schema > docs/reference/registry.schema.json
	$(BIN)/delegation audit schema > docs/reference/event.schema.json
	$(BIN)/delegation admin openapi > docs/reference/admin-api.openapi.json
	$(BIN)/python -m tests.docs.generate

docs: $(READY)  ## The documentation as a site, in .site
	$(BIN)/python -m tests.docs.site

lock: $(READY)  ## Resolve the dependencies anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --all-extras --output-file requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra server --extra tracing --constraint requirements/dev.txt --output-file requirements/server.txt pyproject.toml
	echo 'hatchling>=1.27' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --constraint requirements/dev.txt --output-file requirements/build.txt -

clean:  ## Remove what was installed and cached
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .delegation .site .cache
