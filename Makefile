# Gantry. `make run` starts it, `make test` tests it; both prepare a fresh machine first.
# Paths are relative throughout, so that the checkout may lie in a folder with spaces.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check bench lock clean

# The first Python that the locked packages are made for.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo "$$name" && break; done)
BOOTSTRAP = $(if $(PYTHON),$(PYTHON),$(error No Python 3.11, 3.12 or 3.13 found: sudo apt-get install python3-venv)) scripts/bootstrap

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

run: ## Start everything; Ctrl-C stops it
	@$(BOOTSTRAP) run
	@exec .venv/bin/gantry up

test: ## Run the whole suite (ARGS="-k name" for a part)
	@$(BOOTSTRAP) dev
	@.venv/bin/python -m pytest $(ARGS)

check: ## Lint, types and contracts, Python and TypeScript
	@$(BOOTSTRAP) dev
	@failed=; for step in "ruff check ." "ruff format --check ." "mypy" "lint-imports"; do \
		echo "· $$step"; .venv/bin/$$step || failed=1; done; \
	echo "· npm run check"; $(BOOTSTRAP) npm run check || failed=1; test -z "$$failed"

# What is alone first, then what needs a stack and a browser; a bench says what it lacks and leaves that out.
BENCHES = vault parse audit_append audit_verify audit_export render_engine volume_load render_slice sessions stow_ingest study_to_findings render_proxied drag scroll restore revocation worklist who_saw foreign_absent pool_torture no_effect_without_event
bench: ## Run the benchmarks (NAME=… for one)
	@$(BOOTSTRAP) dev
	@failed=; for name in $(or $(NAME),$(BENCHES)); do \
		.venv/bin/python tests/bench/bench_$$name.py || failed=1; done; \
	.venv/bin/python scripts/benchmarks.py; test -z "$$failed"

LOCK = .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"
lock: ## Pin every dependency again (UPGRADE=--upgrade for newer ones)
	$(LOCK) $(UPGRADE) --python-version 3.11 pyproject.toml requirements/build.in -o requirements/run.txt
	$(LOCK) $(UPGRADE) --python-version 3.11 pyproject.toml requirements/build.in --extra dev \
		-c requirements/run.txt -o requirements/dev.txt
	$(LOCK) $(UPGRADE) --no-deps --python-version 3.11 requirements/triton.in -o requirements/triton.txt
	$(LOCK) $(UPGRADE) --python-version 3.11 requirements/node.in -o requirements/node.txt
	@! grep -nE 'https?:|file:|^ *-[^-]|^--' requirements/*.txt

clean: ## Remove what was built and cached; data and environments stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache platform/web/dist
	find . -name __pycache__ -not -path './.venv*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +
