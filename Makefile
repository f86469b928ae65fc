# Each target installs what it needs. Apple's GNU make 3.81 is enough.
ifndef PYTHON
PYTHON := $(shell scripts/find_python.sh)
endif
VENV := .venv
# The oldest Python that the code runs on is tested as well, where it is not the only one.
OLDEST := $(filter-out $(PYTHON),$(shell scripts/find_python.sh 3.11))
OLDEST_VENV := .venv-3.11
CHECKOV_VENV := .venv-checkov
FUZZ_VENV := .venv-fuzz
RELEASE_VENV := .venv-release
PACKAGE_VENV := .venv-package
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test quick check tools reference format package test-package lock sbom audit soak faults fuzz bench fleet clean \
	to-run to-develop to-develop-oldest to-check-infra to-release

help:  ## List the targets.
	@grep -hE '^([a-z-]+:.*)?## ' $(MAKEFILE_LIST) | awk -F '(:.*)?## ' '{ printf "%-14s%s\n", $$1, $$2 }'

ENVIRONMENT := @scripts/environment.sh

# Containers often set it. Pytest then compiles each test module anew in each process.
unexport PYTHONDONTWRITEBYTECODE

to-run:
	$(ENVIRONMENT) $(VENV) "$(PYTHON)" requirements-run.txt "fetches 21 MB, takes up to a minute"

to-develop: to-run  ## Install what tests need, as VS Code does.
	$(ENVIRONMENT) $(VENV) "$(PYTHON)" requirements-dev.txt "fetches 75 MB more, takes one to two minutes"

to-develop-oldest:
	$(if $(OLDEST),$(ENVIRONMENT) $(OLDEST_VENV) "$(OLDEST)" requirements-dev.txt "fetches 75 MB more; takes one to two minutes")

to-check-infra:
	$(ENVIRONMENT) $(CHECKOV_VENV) "$(PYTHON)" requirements-checkov.txt "fetches 53 MB, takes one to three minutes"

to-release:
	$(ENVIRONMENT) $(RELEASE_VENV) "$(PYTHON)" requirements-release.txt "fetches 32 MB, takes up to a minute"

STORAGE ?= memory
PORT ?= 7071
SIMULATOR_PORT ?= 7072
AUTH ?= none
FACE_TPS ?=
EVENTS_WEBHOOK ?=
RUN_OPTIONS = --storage $(STORAGE) --port $(PORT) --simulator-port $(SIMULATOR_PORT) --auth $(AUTH) \
	$(if $(FACE_TPS),--face-tps $(FACE_TPS)) $(if $(EVENTS_WEBHOOK),--events-webhook $(EVENTS_WEBHOOK))

run: to-run  ## Simulator, broker and a demonstration check; Ctrl-C ends it. Options, as in make run PORT=8071, are below.
	@if [ "$(STORAGE)" = azurite ]; then scripts/azurite.sh; fi
	@$(BIN)/python -m local run $(RUN_OPTIONS)
## PORT=7071 is the broker's port.
## SIMULATOR_PORT=7072 is the simulator's; the issuer of AUTH=jwt has the next one.
## STORAGE=azurite keeps state in tables; it needs npm.
## AUTH=jwt has callers sign in.
## FACE_TPS=10 limits the simulator's calls in a second.
## EVENTS_WEBHOOK=http://127.0.0.1:8080/orders gets the events.

check: to-develop  ## Formatter, linter and types.
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

# Tests of several parts wait a lot: for programs that start, and for deadlines of production. Two more workers than
# cores keep the cores busy meanwhile.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

test: check tools to-check-infra to-develop-oldest  ## Everything that can be tested on this machine.
	$(BIN)/$(PYTEST) --numprocesses=$(WORKERS)
	$(if $(OLDEST),$(OLDEST_VENV)/bin/$(PYTEST) $(UNIT_TESTS))

# Each test has an hour: the long forms of state machines take their time, and a hang still ends.
MINUTES ?= 30
KILLS ?= 50

soak: tools to-develop  ## A broker under load for MINUTES, one that is killed KILLS times, and the long forms of the tests.
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --kills $(KILLS)
	SOAK=true $(BIN)/pytest --timeout=3600 tests/fleet tests/faults tests/benchmarks tests/shared/throttle tests/shared/sessions tests/create_session tests/collect_result

faults: tools to-develop  ## Each fault of each dependency; writes docs/reliability.md.
	$(BIN)/python -m tests.faults.matrix

EXECUTIONS ?= 1000000

fuzz: to-develop  ## Fuzz all parsers, each EXECUTIONS times, and each operation of the API 2,000 times.
	$(ENVIRONMENT) $(FUZZ_VENV) "$(PYTHON)" requirements.txt "fetches 21 MB, takes up to a minute"
	$(ENVIRONMENT) $(FUZZ_VENV) "$(PYTHON)" requirements-fuzz.txt "one package" \
		|| echo "No atheris for this Python: the fuzzers use their own mutator alone."
	@$(FUZZ_VENV)/bin/python -m tests.fuzz --executions $(EXECUTIONS)
	SOAK=true $(BIN)/pytest --timeout=3600 tests/e2e/test_openapi.py

tools:
	@if command -v npm >/dev/null; then \
		scripts/azurite.sh && scripts/kusto.sh && scripts/face_sdk.sh && scripts/http_clients.sh && scripts/kotlin.sh && scripts/typescript.sh; \
	else echo "No npm: tests over Azurite, of Kusto queries, of Microsoft's JavaScript SDK, of the files for httpyac and Postman, of the Kotlin client, and of the JavaScript client's types are left out."; fi

reference: to-develop  ## Write the pages that are made from code.
	$(BIN)/python scripts/write_reference.py

format: to-develop  ## Lay the code out.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pip chooses the dependencies for the Python that it runs on: the one that the app has in Azure.
PRODUCTION = $(shell sed -n 's/^PYTHON_VERSION = "\(.*\)"/\1/p' scripts/package.py)

package:  ## Build dist/broker.zip, with the Python that the app has in Azure.
	@python=$$(scripts/find_python.sh $(PRODUCTION)) && test -n "$$python" \
		|| { echo "The package is built with Python $(PRODUCTION): none was found." >&2; exit 1; } \
		&& "$$python" -m venv --clear $(PACKAGE_VENV) && $(PACKAGE_VENV)/bin/python -m scripts.package

SHIPPED := $(CURDIR)/.local/package/.python_packages/lib/site-packages

test-package: to-develop  ## Unit and contract tests over the dependencies that dist/broker.zip ships.
	@rm -rf .local/package
	@$(BIN)/python -m zipfile -e dist/broker.zip .local/package
	@export PYTHONPATH=$(SHIPPED); $(BIN)/python -c "import pydantic; assert pydantic.__file__.startswith('$(SHIPPED)')"
	PYTHONPATH=$(SHIPPED) PACKAGE=dist/broker.zip $(BIN)/$(PYTEST) $(UNIT_TESTS) tests/contract tests/scripts/test_built_package.py

# The app's lock first: the others keep to its versions. The header of each file is the command without `--quiet`.
LOCKS := requirements requirements-run requirements-dev requirements-checkov requirements-fuzz requirements-release
UPGRADE ?=

lock: to-release  ## Write the requirements*.txt after the requirements*.in. UPGRADE=--upgrade takes the newest versions.
	@for name in $(LOCKS); do \
		$(RELEASE_VENV)/bin/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
			$$name.in --output-file $$name.txt || exit 1; \
	done

sbom: to-release  ## List what is in dist/broker.zip: dist/broker.cdx.json (CycloneDX).
	@scripts/sbom.sh dist/broker.zip dist/broker.cdx.json $(RELEASE_VENV)

# A package without an answer fails too.
audit: to-release  ## Look for known vulnerabilities of the locked versions. Needs the advisories of the package index.
	$(RELEASE_VENV)/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements-dev.txt

bench: to-develop  ## Measure the broker against bare peers, Express among them; writes docs/performance.md. Needs npm.
	$(BIN)/python -m benchmarks

fleet: to-develop  ## Simulate a fleet under attack and under load: the tables of docs/throttling.md.
	@$(BIN)/python -m benchmarks.fleet
	@$(BIN)/python -m benchmarks.fleet.face_load
	@$(BIN)/python -m benchmarks.fleet.attacks

clean:  ## Remove what the other targets made.
	rm -rf .venv* .tools .local dist benchmarks/express/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
