# SPDX-License-Identifier: Apache-2.0
# Everything that people and CI do here. `make` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Which hosts, and further arguments of ansible-playbook.
LAB_INVENTORY := inventory/lab
INVENTORY ?= $(LAB_INVENTORY)
ARGS ?=
# The Python that makes the environment of this checkout.
PYTHON ?= python3
PROMISED := $(foreach machine,x86_64 aarch64,$(foreach python,cp310 cp311 cp312 cp313,$(python)-$(machine)))
WHEELHOUSE_TARGETS ?= $(PROMISED)

ifeq ($(wildcard $(INVENTORY)),)
$(error There is no inventory at INVENTORY=$(INVENTORY): name a folder or a file such as inventory/production)
endif

# Ansible ignores an ansible.cfg in a world-writable folder and Molecule ignores this one anyway: hence absolute paths.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/ansible
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.cache/bin:$(PATH)

STAMPS := .cache/stamps
VENV := $(STAMPS)/venv
FILES := ansible/ansible_collections/quantum/router/roles/router/files
WHEEL := $(FILES)/quantum_router-$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' router/__init__.py)-py3-none-any.whl
SOURCES := $(shell find router -type f -not -name '*.pyc')
WHEELHOUSE := $(WHEELHOUSE_TARGETS:%=$(FILES)/wheelhouse/%.zip)
# Ansible's own, for the hosts that it runs on itself: it needs Python 3.11.
TOO_OLD := cp310-%
ANSIBLE_WHEELS := $(patsubst %,.cache/ansible/%.zip,$(filter-out $(TOO_OLD),$(WHEELHOUSE_TARGETS)))
LAB := python molecule/shared/lab.py
LAB_HOST := quantum-lab --network quantum-lab
PLAYBOOK := ansible-playbook --inventory $(INVENTORY)
# The lab comes up only for those who deploy to it.
TARGET_UP := $(if $(filter $(LAB_INVENTORY) $(LAB_INVENTORY)/,$(INVENTORY)),lab-up)
SCRIPTS := bundle requirements/wheelhouse.py molecule/shared/lab.py $(wildcard molecule/shared/host/*.py)

##@ Deploy
.PHONY: deploy report rollback confirm freeze unfreeze status logs history recon plan verify drill capacity rotate-secret
.PHONY: monitoring
deploy: wheel wheelhouse $(TARGET_UP) ## Put the router on the hosts of INVENTORY, prove it, undo it if it did not help
	@$(PLAYBOOK) site.yml $(ARGS)

# Opened where there is a screen, and named in any case.
report: ## Open the newest report of each host, or say where it lies
	@shopt -s nullglob; pages=(reports/latest/*/report.html); \
	[ $${#pages[@]} -gt 0 ] || { echo 'no report yet: make deploy writes one' >&2; exit 1; }; \
	printf '%s\n' "$${pages[@]}"; \
	if [ -n "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ] && command -v xdg-open > /dev/null; then \
		for page in "$${pages[@]}"; do xdg-open "$$page"; done; fi

rollback: $(VENV) ## Put back what ran before, or RELEASE=ID
	@$(PLAYBOOK) rollback.yml $(if $(RELEASE),--extra-vars router_release_to=$(RELEASE)) $(ARGS)

confirm: $(VENV) ## Keep a deployment that is held, whatever the numbers say
	@$(PLAYBOOK) quantum.router.confirm $(ARGS)

# MESSAGE reaches the playbook through the environment, whatever characters it has.
export MESSAGE
freeze: $(VENV) ## Refuse deployments until make unfreeze; MESSAGE='what for'
	@$(PLAYBOOK) quantum.router.freeze $(ARGS)

unfreeze: $(VENV) ## Let deployments in again
	@$(PLAYBOOK) quantum.router.unfreeze $(ARGS)

status: $(VENV) ## What the routers do at the moment
	@$(PLAYBOOK) quantum.router.status $(ARGS)

logs: $(VENV) ## The last 100 lines of the routers' logs
	@$(PLAYBOOK) quantum.router.logs $(ARGS)

history: $(VENV) ## Deployments and rollbacks: who, when, from what to what, verdict, numbers, duration
	@$(PLAYBOOK) quantum.router.history $(ARGS)

recon: wheel wheelhouse ## Measure the router that runs now (installs only what measures)
	@$(PLAYBOOK) quantum.router.recon $(ARGS)

plan: wheel wheelhouse ## Show what the settings to be deployed would have published in the last hour, beside those that run
	@$(PLAYBOOK) quantum.router.plan $(ARGS)

verify: wheel wheelhouse ## Say what on the hosts differs from what was deployed
	@$(PLAYBOOK) quantum.router.verify $(ARGS)

drill: wheel wheelhouse ## Put the release that runs through the capacity states, with no live key touched
	@$(PLAYBOOK) quantum.router.drill $(ARGS)

# From the environment and as JSON: a reason may hold quotes.
capacity: $(VENV) ## Show the count of open orders; SET=3 REASON="..." sets it, and the host's journal tells who did and why
	@$(PLAYBOOK) quantum.router.capacity $(ARGS) --extra-vars "$$(python -c 'import json, os; \
		given = {"router_capacity_set": os.environ.get("SET"), "router_capacity_reason": os.environ.get("REASON")}; \
		print(json.dumps({name: value for name, value in given.items() if value}))')"

rotate-secret: $(VENV) ## Give the users that the role made in Redis new passwords, without a lost signal
	@$(PLAYBOOK) quantum.router.secret $(ARGS)

monitoring: $(VENV) ## Put alert rules and dashboard on the hosts of the group monitoring
	@$(PLAYBOOK) quantum.router.monitoring $(ARGS)

##@ Try a policy
# ARGS are those of the command: make simulate ARGS='--settings now: --settings wide:TARGET_OPEN_ORDERS=6'
.PHONY: replay simulate
replay: $(VENV) ## Run the signals of a file through settings: FILE=signals.jsonl ARGS='--settings now: --settings ...'
	@$(if $(FILE),,$(error FILE= is not given: name a recording that router replay --save has made))
	@python -m router replay --file '$(FILE)' $(ARGS)

simulate: $(VENV) ## Let a router that publishes everything and ours loose on the same market; ARGS='--minutes 10 --seed 2'
	@python -m router simulate $(ARGS)

##@ Lab
.PHONY: lab-up lab-down
lab-up: $(VENV) $(STAMPS)/lab ## Bring up the lab host: a container with the legacy router, signals and execution
	@$(LAB) up $(LAB_HOST) --subnet 172.31.73.0/24 --ip 172.31.73.10

lab-down: $(VENV) ## Remove the lab host
	@$(LAB) down $(LAB_HOST)

##@ Build
.PHONY: setup wheel wheelhouse bundle release reference lock clean
setup: $(VENV) $(STAMPS)/lab $(STAMPS)/tests ## Install what deploying, the lab and the tests need (.venv and Debian packages)

wheel: $(WHEEL) ## Build the router's wheel into the collection

wheelhouse: $(WHEELHOUSE) ## Collect the locked wheels for every supported Python and machine into the collection

reference: $(VENV) ## Write into the documents what the code says: reference pages, drawings
	@python -m tests.reference

bundle: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2> /dev/null || echo 315532800)
bundle: wheel wheelhouse $(ANSIBLE_WHEELS) ## Fill dist/: the collection, one file for a host without Ansible, SBOM, checksums
	@python -m bundle dist '$(PROMISED)' '$(filter-out $(TOO_OLD),$(PROMISED))' $(ANSIBLE_WHEELS)
	@ls -sh dist

release: setup ## Run every test, build, check and tag VERSION=1.0.0; what is to be pushed it says
	@$(if $(VERSION),,$(error VERSION= is not given: name the version that router/__init__.py has))
	@python -m bundle.release '$(VERSION)'

LOCK := pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
	--no-emit-options --annotation-style=line
lock: $(VENV) ## Lock the newest allowed dependencies
	@$(LOCK) --output-file=requirements/pip.txt requirements/pip.in
	@$(LOCK) --output-file=requirements/runtime.txt pyproject.toml requirements/runtime.in
	@$(LOCK) --output-file=requirements/dev.txt --extra=dev --constraint=requirements/runtime.txt \
		pyproject.toml requirements/runtime.in requirements/dev.in
	@$(LOCK) --output-file=requirements/ansible.txt --constraint=requirements/dev.txt requirements/ansible.in
	@$(LOCK) --output-file=requirements/bench.txt requirements/bench.in

clean: ## Remove everything built here: the lab, its image, .venv, wheels, caches
	@if [ -x .venv/bin/python ] && command -v podman > /dev/null; then $(LAB) down $(LAB_HOST); $(LAB) clean; fi
	@rm -rf .venv .cache .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache dist $(FILES)/*.whl $(FILES)/wheelhouse
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Test
.PHONY: lint sanity test-unit chaos fuzz mutation test-molecule test-hosts faults test bench bench-deploy
lint: setup ## Ruff, mypy, ansible-lint, yamllint, shellcheck
	@ruff check
	@ruff format --check
	@mypy
	@mypy $(SCRIPTS)
	@yamllint --strict .
	@git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run | xargs shellcheck
	@ansible-lint -q

sanity: $(VENV) ## The collection against ansible-test's sanity tests, none of them ignored
	@tests/sanity.sh

test-unit: setup ## Unit, property and integration tests, and chaos in its short form
	@pytest --quiet --numprocesses=auto --dist=loadfile tests/unit tests/property tests/integration
	@pytest --quiet tests/chaos

# Another SEED strikes at other times and places.
FAULTS ?= 500
SEED ?= 1
chaos: setup ## FAULTS=500 or more faults on two routers, Redis and the lines between them
	@CHAOS_FAULTS=$(FAULTS) CHAOS_SEED=$(SEED) pytest --quiet tests/chaos

CASES ?= 1000000
fuzz: $(VENV) ## CASES=1000000 entries of any bytes, none of which may raise, be lost, or give an intent that is no JSON
	@python -m tests.property.fuzz $(CASES) $(SEED)

mutation: setup ## How many small mistakes in the core and in the commit's guards the tests notice
	@python -m tests.mutation

# A state of our own, cleared first: what an aborted run left there would stop the next one.
SCENARIOS := $(patsubst molecule/%/molecule.yml,scenario-%,$(wildcard molecule/*/molecule.yml))
# The same on other hosts: not part of `make test`, which is long enough.
HOST_SCENARIOS := scenario-debian13 scenario-install scenario-carried13
.PHONY: $(SCENARIOS)
$(SCENARIOS): scenario-%: setup wheel wheelhouse
	@rm -rf .cache/molecule/$*
	@MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.cache/molecule/$* molecule --base-config molecule/shared/base.yml \
		test --no-command-borders --scenario-name $*

scenario-carried scenario-carried13: bundle

# Hosts mostly wait for signals and clocks, so two scenarios share the cores; each prints when it has ended.
test-molecule: export PYTEST_ADDOPTS := -m 'not long'
test-molecule: setup wheel wheelhouse ## Scenarios on containers of their own; one of them: make scenario-NAME
	@$(MAKE) --jobs=2 --output-sync=target --keep-going $(filter-out $(HOST_SCENARIOS),$(SCENARIOS))

test-hosts: setup wheel wheelhouse ## Scenarios on other hosts than the lab's: Debian 13 with Valkey, hosts without Redis
	@$(MAKE) --jobs=2 --output-sync=target --keep-going $(HOST_SCENARIOS)

# Every test that strikes a host with a fault is marked so; one that fails does not keep the others from running.
FAULT_SCENARIOS = $(sort $(patsubst tests/infra/%/,scenario-%,$(dir $(shell grep -l 'mark.fault' tests/infra/*/test_*.py))))
faults: export PYTEST_ADDOPTS := -m fault
faults: export FAULT_ROWS := $(CURDIR)/.cache/faults.jsonl
faults: setup wheel wheelhouse ## Every fault of docs/guarantees.md on real hosts: a table, and reports/faults.json
	@rm -f $(FAULT_ROWS)
	@pytest --quiet tests/unit || true
	@$(MAKE) --jobs=2 --output-sync=target --keep-going $(FAULT_SCENARIOS) || true
	@python -m tests.fault_matrix $(FAULT_ROWS) reports/faults.json

test: lint test-unit test-molecule ## Lint, unit tests and scenarios, as CI does

# Hosts run the router on their distribution's Python; one that was compiled without profiles is slower.
BENCH_PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
bench: setup $(STAMPS)/bench ## Measure speed and write docs/benchmarks.*; a part anew: ONLY=drain; a quick look that writes nothing: ROUNDS=1
	@python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-deploy: setup wheel wheelhouse ## Measure deployments to lab hosts of their own and write docs/benchmarks.*; ONLY=deploy, ROUNDS=1
	@python -m tests.bench --deployments $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Each stamp stands for a step done; a later call finds it and does nothing.
$(STAMPS):
	@mkdir -p $@

$(VENV): requirements/dev.txt requirements/apt.sh | $(STAMPS)
	@requirements/apt.sh $(PYTHON)=python3 ssh=openssh-client
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || requirements/apt.sh =python3-venv
	@echo 'Making .venv'
	@$(PYTHON) -m venv --clear .venv
	@python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/lab: requirements/apt.sh | $(STAMPS)
	@requirements/apt.sh 'podman=podman netavark aardvark-dns' runc=runc iptables=iptables mmdebstrap=mmdebstrap gpg=gpg nsenter=util-linux
	@touch $@

$(STAMPS)/tests: requirements/apt.sh requirements/promtool.sh | $(STAMPS)
	@requirements/apt.sh redis-server=redis-server shellcheck=shellcheck chromium=chromium
	@requirements/promtool.sh .cache/bin
	@touch $@

$(STAMPS)/bench: requirements/bench.txt tests/bench/peers/three_reads.c requirements/apt.sh | $(VENV)
	@requirements/apt.sh 'cc=gcc libc6-dev'
	@mkdir -p .cache/bench
	@cc -O2 -Wall -Wextra -Werror -o .cache/bench/three_reads tests/bench/peers/three_reads.c
	@$(BENCH_PYTHON) -c 'import ensurepip' 2> /dev/null || requirements/apt.sh =python3-venv
	@$(BENCH_PYTHON) -m venv --clear .cache/bench/venv
	@.cache/bench/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements/bench.txt
	@touch $@

$(WHEEL): pyproject.toml README.md $(SOURCES) | $(VENV)
	@rm -f $(FILES)/*.whl
	@python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir $(FILES) .
	@touch $@

$(FILES)/wheelhouse/%.zip: requirements/runtime.txt requirements/pip.txt requirements/wheelhouse.py | $(VENV)
	@echo 'Collecting wheels for $*'
	@python requirements/wheelhouse.py $(@D) runtime $*

.cache/ansible/%.zip: requirements/ansible.txt requirements/pip.txt requirements/wheelhouse.py | $(VENV)
	@echo 'Collecting wheels of Ansible for $*'
	@python requirements/wheelhouse.py $(@D) ansible $*
