PYTHON ?= python3
BIN := .venv/bin
TESTARGS ?=
BENCHARGS ?=

# Settings of a production deployment, as `manage.py check --deploy` is to see them.
PRODUCTION = env -u DEBUG TALLYMAN_ENV_FILE= ALLOWED_HOSTS=tallyman.example DATABASE_URL=sqlite://:memory: \
	SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	TALLYMAN_SECRET_KEYS="$$($(BIN)/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')"

COMPILE = uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header
LOCK = $(COMPILE) --extra postgres --extra redis --extra 2fa

.DEFAULT_GOAL := help
.PHONY: help up test soak bench bench-web screenshots check format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: .venv/base ## run everything on http://127.0.0.1:8000/ (PORT=...), until Ctrl-C
	@$(BIN)/python -m scripts.up

test: .venv/dev ## run the tests on SQLite and on PostgreSQL (TESTARGS="tests/jobs -x")
	@$(BIN)/python -m tests $(TESTARGS)

soak: .venv/dev ## run the tests that take long (sizes: tests/faults/soak.py)
	@TALLYMAN_TEST_DATABASES=postgres $(BIN)/python -m tests -n0 -m soak -rA $(TESTARGS)
	@TALLYMAN_FUZZ_EXAMPLES=$${TALLYMAN_FUZZ_EXAMPLES:-200} $(BIN)/python -m tests tests/fuzz

bench: .venv/bench ## measure, and note the numbers in bench/README.md (BENCHARGS="claims logs")
	@$(BIN)/python -m bench $(BENCHARGS)

bench-web: .venv/bench .venv/dev ## measure pages, probes and metrics with 1,000,000 jobs, and the viewer of 1,000,000 lines
	@$(BIN)/python -m bench web_jobs web_logs web_probes $(BENCHARGS)

screenshots: .venv/dev ## picture every screen into var/screenshots/ (KEEP=1: those of the README, too)
	@KEEP=$(KEEP) $(BIN)/python -m scripts.screenshots

check: .venv/dev .venv/audit ## format, lint, types, layers, migrations, deployment settings, dependencies
	@echo "== ruff format" && $(BIN)/ruff format --check .
	@echo "== ruff check" && $(BIN)/ruff check .
	@echo "== mypy" && $(PRODUCTION) $(BIN)/mypy
	@echo "== import layers" && $(BIN)/lint-imports --no-logo
	@echo "== migrations" && $(PRODUCTION) $(BIN)/python manage.py makemigrations --check --dry-run
	@echo "== deployment" && $(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	@echo "== dependencies" && $(BIN)/python -m scripts.audit

format: .venv/dev ## format the code and fix what ruff can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## pin the newest allowed versions in requirements/ (needs uv)
	$(LOCK) --upgrade --output-file requirements/base.txt
	$(LOCK) --upgrade --group dev --constraint requirements/base.txt --output-file requirements/dev.txt
	$(COMPILE) --extra cloudrun --constraint requirements/dev.txt --output-file requirements/cloudrun.txt
	$(subst pyproject.toml,,$(COMPILE)) --group audit --constraint requirements/dev.txt --output-file requirements/audit.txt
	$(LOCK) --upgrade --group bench --constraint requirements/dev.txt --output-file requirements/bench.txt

clean: ## remove .venv, caches and built static files; var/ and .env stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info var/static
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp stands for one requirements file. dev.txt and bench.txt hold base.txt's versions, so all may be
# installed.
.venv/base: requirements/base.txt
.venv/dev: requirements/dev.txt
.venv/bench: requirements/bench.txt
.venv/audit: requirements/audit.txt
.venv/base .venv/dev .venv/bench .venv/audit:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing $< into .venv"
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
