# Targets for set-up, tests, checks and runs; `make` alone lists them. Needs only Python 3.11 or newer with venv.
#
# One environment serves all: `make demo` adds what the product needs and removes nothing (--inexact), `make test` and
# `make lint` bring it to exactly the lock, development tools included. So they can run in any order and side by side
# without taking packages from under each other; two environments would cost twice the disk and the set-up time.

PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.9
UV := .uv/$(UV_VERSION)/uv

export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH
# Many images set it. Without bytecode each process compiles all that it imports, and takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE
# Without a home, uv would not know where to keep its cache.
ifeq ($(strip $(HOME)),)
export UV_CACHE_DIR ?= .uv/cache
endif

.DEFAULT_GOAL := help
.PHONY: help demo up test test-full test-stack test-expressions test-strangers check lint protos sbom licences audit chaos bench pictures clean environment environment-dev

help: ## List the targets.
	@echo 'Usage: make TARGET [ARGS="..."] [PYTHON=python3.12]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  %-16s %s\n' "$$name" "$$text"; done

demo: environment ## Set everything up, run the platform under load, write out/demo/report.html.
	@exec .venv/bin/plumb demo $(ARGS)

up: environment ## Start the platform and leave it running until Ctrl-C.
	@exec .venv/bin/plumb up $(ARGS)

# Tests wait more than they work. They begin in the order of their folders: the long ones first, tests/unit last.
# Each worker collects all tests and starts a PostgreSQL of its own, so there are no more than what the waits leave room for.
AT_ONCE := --dist loadscope --no-loadscope-reorder

test: environment-dev ## Run the tests; ARGS="-k name" for some.
	@exec .venv/bin/python -m pytest -m 'not full' -n 3 $(AT_ONCE) $(ARGS)

# The files that have some of these tests, and the folders whose fixtures make some: to look for them in all others would
# take each worker longer than many a test.
FULL = $$(grep -rlE 'mark\.full|in_full' tests --include='test_*.py' --include=conftest.py | sed 's|/conftest.py$$||')

test-full: environment-dev ## Run the tests that take longer: campaigns, drains, defects put back, many cases.
	@exec .venv/bin/python -m pytest -m full -n 3 $(AT_ONCE) $(ARGS) $(FULL)

test-stack: environment-dev ## Test docker-compose.yml, the Collector and every query with the real programs; builds them once.
	@exec .venv/bin/python -m pytest -n 3 $(AT_ONCE) $(ARGS) tests/stack

test-expressions: environment-dev ## Run every query of dashboards and rules on a shop in which one thing after the other breaks.
	@exec .venv/bin/python -m pytest tests/stack/test_every_expression.py $(ARGS)

# Not part of .ci/run: it builds and records for an hour. What was recorded stays in out/strangers.
test-strangers: environment-dev ## Diagnose live systems that others wrote, and compare with what is known of each.
	@exec .venv/bin/python -m pytest tests/strangers $(ARGS)

define check_python
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/python -m mypy
	.venv/bin/lint-imports
	.venv/bin/python -m tests.architecture.readability
endef

check: environment-dev ## Check style, types and import contracts, and run the unit tests of what changed since main.
	$(check_python)
	@tests=$$(.venv/bin/python -m tests.changed) || exit; \
	if [ -n "$$tests" ]; then exec .venv/bin/python -m pytest -q -m 'not full' $(ARGS) $$tests; \
	else echo 'No unit test imports what changed since main.'; fi

lint: environment-dev ## Check style, types, import contracts and protos; change nothing.
	$(check_python)
	.venv/bin/python protos/generate.py --lint
	.venv/bin/python protos/generate.py --check
	.venv/bin/python -m observability.prometheus.build --check
	.venv/bin/python -m grafana.build --check
	bash -n .ci/run
	bash -n .ci/environments

protos: environment-dev ## Generate protos/gen from the .proto files.
	@.venv/bin/python protos/generate.py

SBOM := out/sbom.cdx.json

sbom: $(UV) ## Write out/sbom.cdx.json: the packages that the platform needs, with hashes, as CycloneDX.
	@mkdir -p $(dir $(SBOM))
	@$(UV) export --quiet --locked --extra platform --no-dev \
		--preview-features sbom-export --format cyclonedx1.5 --output-file $(SBOM) >/dev/null
	@echo 'Wrote $(SBOM).'

licences: environment-dev ## List the licence of each package that is installed; fail if one is not allowed.
	@exec .venv/bin/python -m tests.architecture.licences

# Not part of `make lint`: vulnerabilities become known without a change here, and the database needs the network.
audit: $(UV) ## Look for known vulnerabilities of locked packages; skip if OSV's database cannot be reached.
	@if said="$$($(UV) audit --locked --preview-features audit-command 2>&1)"; then printf '%s\n' "$$said"; else \
		printf '%s\n' "$$said" >&2; \
		case "$$said" in *'error sending request'*) echo 'SKIPPED: the database cannot be reached.' >&2;; *) exit 1;; esac; fi

chaos: environment ## Kill processes at every durable step, 2,000 times: both modes, both event logs.
	.venv/bin/plumb chaos kill --mode services --bus postgres --kills 500 $(ARGS)
	.venv/bin/plumb chaos kill --mode monolith --bus postgres --kills 500 $(ARGS)
	.venv/bin/plumb chaos kill --mode services --bus nats --kills 500 $(ARGS)
	.venv/bin/plumb chaos kill --mode monolith --bus nats --kills 500 $(ARGS)

bench: environment ## Measure what one mechanism costs: ARGS=relay, for example; without ARGS list them all.
	@exec .venv/bin/plumb bench $(ARGS)

# What draws needs node.js, and 400 MB of packages of its own.
DRAW := docs/pictures/draw

pictures: environment ## Draw docs/pictures anew with Chromium, in ten minutes; ARGS=demo for one of its parts.
	@missing=; for program in node npm chromium prometheus prometheus-postgres-exporter; do \
		command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ]; then \
		echo "make pictures: not on PATH:$$missing (Debian: apt-get install$$(echo "$$missing" | sed 's/ node\b/ nodejs/'))" >&2; \
		exit 1; fi
	@$(MAKE) --no-print-directory $(DRAW)/node_modules/.package-lock.json
	@exec node $(DRAW)/draw.mjs $(ARGS)

$(DRAW)/node_modules/.package-lock.json: $(DRAW)/package-lock.json
	@echo 'Installing what draws the pictures, once.'
	@cd $(DRAW) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean: ## Remove what make made: environments, caches and out/.
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis out $(DRAW)/node_modules
	find services observability grafana tests protos -name __pycache__ -type d -prune -exec rm -rf {} +

# A sync with nothing to do takes a tenth of a second, so that it runs each time and no stamp can lie. The interpreter
# is chosen when .venv is made and then stays: another PYTHON must not rebuild it under a running platform.
environment environment-dev: $(UV)
	@if [ -x .venv/bin/python ]; then quiet=--quiet; else \
		quiet=; export UV_PYTHON="$(PYTHON)"; echo 'Setting up the Python environment in .venv, once.'; fi; \
	case $@ in environment) $(UV) sync $$quiet --locked --extra platform --no-dev --inexact;; *) $(UV) sync $$quiet --locked --extra platform;; esac

# uv is one binary: it is fetched aside and moved into place whole, since two makes may run at once.
$(UV):
	@"$(PYTHON)" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'Plumbline needs Python 3.11 or newer with its venv module; "$(PYTHON)" is not that.' >&2; \
		echo '  Debian, Ubuntu: apt-get install python3 python3-venv' >&2; \
		echo '  Fedora: dnf install python3     macOS: brew install python' >&2; \
		echo 'Or name another one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@echo 'Fetching uv $(UV_VERSION).'
	@mkdir -p $(@D); draft=.uv/draft.$$$$; trap 'rm -rf "$$draft"' EXIT; \
	"$(PYTHON)" -m venv "$$draft" && \
	"$$draft/bin/python" -m pip --quiet --disable-pip-version-check --no-input install \
		--only-binary :all: uv==$(UV_VERSION) && mv -f "$$draft/bin/uv" $@
