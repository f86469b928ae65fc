# `make run` and `make test` prepare whatever they need.
PYTHON ?= $(shell scripts/find_python.sh)
VENV := .venv
# The oldest Python that the code runs on is tested as well, where it is not the only one.
OLDEST := $(filter-out $(PYTHON),$(shell scripts/find_python.sh 3.11))
OLDEST_VENV := .venv-3.11
CHECKOV_VENV := .venv-checkov
FUZZ_VENV := .venv-fuzz
RELEASE_VENV := .venv-release
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test quick check tools reference format package test-package lock sbom audit soak faults fuzz bench fleet clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# One environment: $(1) its folder, $(2) the interpreter, $(3) the lock, which names each file by its hash.
PIP_INSTALL := pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
define environment
	@test -n "$(2)" || { echo "Python 3.11 or newer is needed: none was found."; exit 1; }
	@echo "Preparing $(1) with $(2) ..."
	@$(2) -m venv $(1)
	@$(1)/bin/$(PIP_INSTALL) -r $(3)
	@touch $@
endef

$(VENV)/.ready: requirements-dev.txt
	$(call environment,$(VENV),$(PYTHON),$<)

$(OLDEST_VENV)/.ready: requirements-dev.txt
	$(call environment,$(OLDEST_VENV),$(OLDEST),$<)

$(CHECKOV_VENV)/.ready: requirements-checkov.txt
	$(call environment,$(CHECKOV_VENV),$(PYTHON),$<)

$(RELEASE_VENV)/.ready: requirements-release.txt
	$(call environment,$(RELEASE_VENV),$(PYTHON),$<)

$(FUZZ_VENV)/.ready: requirements.txt requirements-fuzz.txt
	$(call environment,$(FUZZ_VENV),$(PYTHON),$<)
	@$(FUZZ_VENV)/bin/$(PIP_INSTALL) -r requirements-fuzz.txt \
		|| echo "No atheris for this Python: the fuzzers use their own mutator alone."

STORAGE ?= memory
PORT ?= 7071
SIMULATOR_PORT ?= 7072
AUTH ?= none
FACE_TPS ?=
EVENTS_WEBHOOK ?=
RUN_OPTIONS = --storage $(STORAGE) --port $(PORT) --simulator-port $(SIMULATOR_PORT) --auth $(AUTH) \
	$(if $(FACE_TPS),--face-tps $(FACE_TPS)) $(if $(EVENTS_WEBHOOK),--events-webhook $(EVENTS_WEBHOOK))

run: $(VENV)/.ready  ## Simulator, broker and a demonstration check; Ctrl-C ends it. STORAGE=azurite keeps state in tables, AUTH=jwt has callers sign in, FACE_TPS=10 limits the simulator, EVENTS_WEBHOOK=http://127.0.0.1:... gets events.
	@if [ "$(STORAGE)" = azurite ]; then scripts/azurite.sh; fi
	@$(BIN)/python -m local run $(RUN_OPTIONS)

check: $(VENV)/.ready  ## Formatter, linter and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The tests of single modules, which need no other program and no other process.
UNIT := tests/shared tests/create_session tests/get_result tests/revoke_session tests/audit_session \
	tests/collect_result tests/purge_expired tests/health
UNIT_TESTS = -m "not azurite" $(UNIT)
PYTEST := pytest --numprocesses=auto --dist=loadgroup

quick: check  ## Checks and unit tests, in a minute.
	$(BIN)/$(PYTEST) $(UNIT_TESTS)

test: check tools $(CHECKOV_VENV)/.ready $(if $(OLDEST),$(OLDEST_VENV)/.ready)  ## Everything that can be tested on this machine.
	$(BIN)/$(PYTEST)
	$(if $(OLDEST),$(OLDEST_VENV)/bin/$(PYTEST) $(UNIT_TESTS))

# Each test has an hour: the long forms of state machines take their time, and a hang still ends.
MINUTES ?= 30
KILLS ?= 50

soak: tools $(VENV)/.ready  ## A broker under load for MINUTES, one that is killed KILLS times, and the long forms of the tests.
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --kills $(KILLS)
	SOAK=true $(BIN)/pytest --timeout=3600 tests/fleet tests/faults tests/shared/throttle tests/shared/sessions tests/create_session tests/collect_result

faults: tools $(VENV)/.ready  ## Each fault of each dependency; writes docs/reliability.md.
	$(BIN)/python -m tests.faults.matrix

EXECUTIONS ?= 1000000

fuzz: $(FUZZ_VENV)/.ready  ## Fuzz all parsers, each EXECUTIONS times.
	@$(FUZZ_VENV)/bin/python -m tests.fuzz --executions $(EXECUTIONS)

tools:
	@if command -v npm >/dev/null; then \
		scripts/azurite.sh && scripts/kusto.sh && scripts/face_sdk.sh && scripts/http_clients.sh && scripts/kotlin.sh; \
	else echo "No npm: tests over Azurite, of Kusto queries, of Microsoft's JavaScript SDK, of the files for httpyac and Postman, and of the Kotlin client are left out."; fi

reference: $(VENV)/.ready  ## Write the pages that are made from code.
	$(BIN)/python scripts/write_reference.py

format: $(VENV)/.ready  ## Lay the code out.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

package: $(VENV)/.ready  ## Build dist/broker.zip.
	@$(BIN)/python -m scripts.package

SHIPPED := $(CURDIR)/.local/package/.python_packages/lib/site-packages

test-package: $(VENV)/.ready  ## Unit and contract tests over the dependencies that dist/broker.zip ships.
	@rm -rf .local/package
	@$(BIN)/python -m zipfile -e dist/broker.zip .local/package
	@export PYTHONPATH=$(SHIPPED); $(BIN)/python -c "import pydantic; assert pydantic.__file__.startswith('$(SHIPPED)')"
	PYTHONPATH=$(SHIPPED) PACKAGE=dist/broker.zip $(BIN)/$(PYTEST) $(UNIT_TESTS) tests/contract tests/scripts/test_built_package.py

# The app's lock first: the others keep to its versions. The header of each file is the command without `--quiet`.
LOCKS := requirements requirements-dev requirements-checkov requirements-fuzz requirements-release
UPGRADE ?=

lock: $(RELEASE_VENV)/.ready  ## Write the requirements*.txt after the requirements*.in. UPGRADE=--upgrade takes the newest versions.
	@for name in $(LOCKS); do \
		$(RELEASE_VENV)/bin/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
			$$name.in --output-file $$name.txt || exit 1; \
	done

sbom: $(RELEASE_VENV)/.ready  ## List what is in dist/broker.zip: dist/broker.cdx.json (CycloneDX).
	@scripts/sbom.sh dist/broker.zip dist/broker.cdx.json $(RELEASE_VENV)

# A package without an answer fails too.
audit: $(RELEASE_VENV)/.ready  ## Look for known vulnerabilities of the locked versions. Needs the advisories of the package index.
	$(RELEASE_VENV)/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements-dev.txt

bench: $(VENV)/.ready  ## Measure the broker against bare peers, Express among them; writes docs/performance.md. Needs npm.
	$(BIN)/python -m benchmarks

fleet: $(VENV)/.ready  ## Simulate a fleet under attack and under load: the tables of docs/throttling.md.
	@$(BIN)/python -m benchmarks.fleet
	@$(BIN)/python -m benchmarks.fleet.face_load
	@$(BIN)/python -m benchmarks.fleet.attacks

clean:  ## Remove what the other targets made.
	rm -rf .venv* .tools .local dist benchmarks/express/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
