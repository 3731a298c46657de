# Everything a person or a machine does with the repository. `make` prints the list.
PYTHON ?= python3
BIN := .venv/bin
STAMP_DEMO := .venv/.demo
STAMP_DEV := .venv/.dev
INSTALL := $(BIN)/pip install --disable-pip-version-check
# installs what a lock file names, and prints a dot for each package
LOCKED = { $(INSTALL) --require-hashes -r $(1); echo "code $$?"; } | while read -r word rest; do \
	  case $$word in Collecting) printf .;; Installing) printf ' unpacking';; code) echo; exit $$rest;; esac; done
UV := $(BIN)/uv pip install -q
RESOLVE := $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --no-header
LOCK := $(RESOLVE) pyproject.toml
TESTS ?= tests/unit tests/sandbox tests/warehouse tests/system
# twice as many as there are processors: many tests wait for a process, a server or the disk
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() * 2)')
PYTEST := -m pytest -q -n $(WORKERS) --dist worksteal
LOWEST ?= 3.10
HIGHEST ?= 3.13
ENGINE_PYTHON ?= $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-warehouses test-engines test-lowest test-airflow test-dagster test-dbt test-kubernetes test-site test-install test-docker test-wheel soak fuzz sbom audit base lint format bench lock docs site picture build clean

help: ## print every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; say which: make demo PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv

$(STAMP_DEMO): requirements.lock pyproject.toml | $(BIN)/pip
	@printf "installing what the demo needs into .venv "
	@$(call LOCKED,requirements.lock)
	@$(INSTALL) --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP_DEV): requirements-dev.lock pyproject.toml | $(BIN)/pip
	@printf "installing what the tests need into .venv "
	@$(call LOCKED,requirements-dev.lock)
	@$(INSTALL) --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(STAMP_DEMO)

demo: $(STAMP_DEMO) ## set everything up, then run the main job on the embedded sandbox and DuckDB
	@$(BIN)/boast demo

test: $(STAMP_DEV) ## set everything up, then lint, check types and run all tests; names the ten slowest
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python $(PYTEST) --durations=10 $(TESTS)

test-unit: $(STAMP_DEV) ## the tests of functions, which need no server
	@$(BIN)/python $(PYTEST) tests/unit

test-lowest: $(STAMP_DEV) ## the tests with the oldest supported dependencies, on Python 3.10 if it is installed (or LOWEST=path)
	@lowest=$$($(BIN)/python -c "from tests.support.installed import found; print(found('$(LOWEST)') or '$(BIN)/python')"); \
	  $(BIN)/uv venv -q --seed --clear --no-python-downloads --python "$$lowest" .venv-lowest
	@.venv-lowest/bin/python --version
	@$(UV) --python .venv-lowest/bin/python --resolution lowest-direct -e '.[sandbox,report,postgres,delta]' --group dev
	@.venv-lowest/bin/python $(PYTEST) $(TESTS)

test-airflow: ## the shipped DAG on Airflow 3 itself, in an environment of its own
test-dagster: ## the shipped assets on Dagster itself, in an environment of its own
test-dbt: ## the dbt package on dbt itself, DuckDB and Postgres, in an environment of its own
test-kubernetes: ## the steps of the Dockerfile without Docker, the job against the schema of Kubernetes
test-site: ## the documentation as a site, built strictly
test-airflow test-dagster test-dbt test-kubernetes test-site: test-%: $(STAMP_DEV) .venv-%/.made
	@BOAST_ENGINE=$* BOAST_ENGINE_PYTHON=$(CURDIR)/.venv-$*/bin/python $(BIN)/pytest -q tests/engines

test-engines: test-airflow test-dagster test-dbt test-kubernetes test-site test-install ## all of these

test-warehouses: $(STAMP_DEV) .venv-warehouses/.made ## the conformance suite on Iceberg, DuckLake, MariaDB, Postgres 18 and S3, in an environment of its own
	@BOAST_WAREHOUSES=elsewhere .venv-warehouses/bin/python -m pytest -q -n 2 tests/warehouse/test_conformance.py \
	  tests/warehouse/test_views_random.py tests/warehouse/test_object_store.py tests/warehouse/test_canary.py \
	  tests/warehouse/test_stop_mariadb.py tests/warehouse/test_mariadb.py tests/warehouse/test_iceberg.py \
	  "tests/warehouse/test_sql.py::test_through_sqlalchemy_a_query_is_answered_and_a_change_needs_its_word"

.venv-warehouses/.made: tests/warehouse/requirements.lock
.venv-dagster/.made: pipelines/dagster/requirements.lock
.venv-warehouses/.made .venv-dagster/.made: .venv-%/.made: pyproject.toml | $(STAMP_DEV)
	@echo "installing $* and the connector into .venv-$* ..."
	@$(BIN)/uv venv -q --seed --clear --no-python-downloads --python "$(ENGINE_PYTHON)" .venv-$*
	@$(UV) --python .venv-$*/bin/python --require-hashes -r $(filter %.lock,$^)
	@$(UV) --python .venv-$*/bin/python --no-deps --no-build-isolation -e .
	@touch $@

test-docker: ## the image itself; needs a Docker engine
test-install: ## the README's lines that install, to the letter, from a tag of a repository
test-docker test-install: test-%: $(STAMP_DEV)
	@BOAST_ENGINE=$* $(BIN)/pytest -q tests/engines

.venv-%/.made: pipelines/%/requirements.lock | $(STAMP_DEV)
	@echo "installing $* into .venv-$* ..."
	@$(BIN)/uv venv -q --seed --clear --no-python-downloads --python "$(ENGINE_PYTHON)" .venv-$*
	@$(UV) --python .venv-$*/bin/python --require-hashes -r $<
	@touch $@

test-wheel: build ## the tests without the sources: the built wheel on LOWEST, the sdist on HIGHEST (versions or paths)
	@$(BIN)/python -m tests.support.installed $(LOWEST) dist/*.whl dist/*.tar.gz $(TESTS)
	@$(BIN)/python -m tests.support.installed $(HIGHEST) dist/*.tar.gz dist/*.tar.gz $(TESTS)

soak: $(STAMP_DEV) ## 200 loads and 300 pushes killed at random moments, 2000 random schedules of changes, 10,000 of pushes, a month of 15-minute runs, 1000 nights, each kind of rule over each column, 20,000 random worlds; takes days
	@BOAST_KILLS=200 BOAST_SCHEDULES=2000 $(BIN)/pytest -q --timeout 14400 -n auto tests/system/test_kill.py tests/unit/test_model.py tests/unit/test_recent.py
	@BOAST_NIGHTS=1000 BOAST_EMPTY_FOLDERS=10 BOAST_AT_ONCE=100 $(BIN)/pytest -q --timeout 14400 tests/system/test_at_once.py tests/system/test_housekeeping.py tests/system/test_nightly_forgets.py
	@BOAST_KILLS=300 BOAST_REQUESTS=2000 BOAST_EXAMPLES=500 $(BIN)/pytest -q --timeout 14400 -n auto tests/system/test_push_kill.py tests/unit/test_compare.py tests/unit/test_sweep_moving.py tests/unit/test_completing.py
	@BOAST_LIVES=100 BOAST_DAYS=30 $(BIN)/pytest -q --timeout 40000 -n auto tests/sandbox/test_incremental.py
	@BOAST_EXAMPLES=10000 $(BIN)/pytest -q -n auto tests/unit/test_push_model.py
	@BOAST_CANARY=all BOAST_ROWS=100000 $(BIN)/pytest -q --timeout 14400 tests/warehouse/test_canary.py tests/system/test_many_fields.py
	@BOAST_WORLDS=20000 $(BIN)/pytest -q -n auto tests/system/test_worlds.py

fuzz: $(STAMP_DEV) ## 100,000 exchanges with a server that lies, 10,000 broken answers; minutes
	@BOAST_EXCHANGES=100000 BOAST_EXAMPLES=10000 $(BIN)/pytest -q --timeout 7200 tests/sandbox/test_fuzz.py

lint: $(STAMP_DEV) ## ruff, mypy, the layers of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports

format: $(STAMP_DEV) ## let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.venv-site/.made: tools/site-requirements.lock | $(STAMP_DEV)
	@echo "installing mkdocs into .venv-site ..."
	@$(BIN)/uv venv -q --seed --clear --no-python-downloads --python "$(ENGINE_PYTHON)" .venv-site
	@$(UV) --python .venv-site/bin/python --require-hashes -r $<
	@touch $@

site: .venv-site/.made ## the documentation as a site in site/; to read it: python -m http.server -d site
	@NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build -q

bench: .venv-bench/.made ## measure against what a user would pick instead, and ten thousand to ten million rows; an hour or two
	@.venv-bench/bin/python -m benchmarks
	@.venv-bench/bin/python -m benchmarks.transport
	@.venv-bench/bin/python -m benchmarks.sizes --latency 0
	@.venv-bench/bin/python -m benchmarks.sizes --latency 0 --all-lists --rows 600000
	@.venv-bench/bin/python -m benchmarks.sizes --requests

.venv-bench/.made: requirements-dev.lock pyproject.toml | $(STAMP_DEV)
	@echo "installing what a user has, and a Postgres, into .venv-bench ..."
	@$(BIN)/uv venv -q --seed --clear --no-python-downloads --python $(BIN)/python .venv-bench
	@$(UV) --compile-bytecode --python .venv-bench/bin/python -c requirements-dev.lock -e '.[report,postgres,sandbox]' pgserver pytest pycurl httptools
	@touch $@

lock: $(STAMP_DEV) ## resolve the dependencies again: names, versions, hashes, no addresses
	@$(LOCK) --extra sandbox --extra report --extra postgres --group build -o requirements.lock
	@$(LOCK) --extra sandbox --extra report --extra postgres --extra delta --group dev -o requirements-dev.lock
	@$(LOCK) tests/warehouse/requirements.in --extra sandbox --extra report --extra postgres --extra delta --group build -o tests/warehouse/requirements.lock
	@$(LOCK) --extra postgres --group build pipelines/dagster/requirements.in -o pipelines/dagster/requirements.lock
	@for engine in airflow dbt kubernetes; do $(RESOLVE) pipelines/$$engine/requirements.in -o pipelines/$$engine/requirements.lock; done
	@$(RESOLVE) tools/site-requirements.in -o tools/site-requirements.lock

sbom: $(STAMP_DEV) ## sbom.json: all packages of requirements.lock in CycloneDX, with their hashes
	@$(BIN)/uv tool run -q --from 'cyclonedx-bom>=7,<8' cyclonedx-py requirements requirements.lock --of JSON -o sbom.json
	@echo "sbom.json"

audit: $(STAMP_DEV) ## ask for known vulnerabilities of what the lock files install; needs the internet, or AUDIT="-s osv --osv-url ..."
	@for lock in requirements.lock requirements-dev.lock; do $(BIN)/uv tool run -q 'pip-audit>=2.9,<3' --strict --require-hashes --disable-pip $(AUDIT) -r $$lock || exit 1; done

base: $(STAMP_DEV) ## pin the image's base by the digest that its tag has now; CHECK=--check only compares; needs the internet
	@$(BIN)/python -m tools.base $(CHECK)

docs: $(STAMP_DEV) ## what is made from the code: the dbt package's models, tables of docs/, docs/commands.md, docs/messages.md
	@$(BIN)/python -m tools.describe
	@$(BIN)/python -m tools.reference
	@$(BIN)/python -m tools.warehouses

picture: $(STAMP_DEV) ## docs/report.png anew, from a demo; needs Chromium
	@$(BIN)/python -m tools.picture "$$(command -v chromium || command -v chromium-browser || command -v google-chrome)"

build: $(STAMP_DEV) ## wheel and sdist in dist/
	@rm -rf dist
	@$(BIN)/hatchling build -d dist

clean: ## remove what the other targets made
	@rm -rf .venv .venv-* dist build site .pytest_cache .mypy_cache .ruff_cache boast-demo
