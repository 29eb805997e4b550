# One command for each purpose; `make` lists them.
VENV ?= .venv
PYTHON_BIN = $(VENV)/bin/python
CHECKS = VENV="$(VENV)" $(PYTHON_BIN) tools/checks.py
SANDBOX = $(PYTHON_BIN) tests/demo/sandbox.py
LAB = $(PYTHON_BIN) tests/lab/lab.py

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-down test lint sanity units integration lab lab-down faults bench docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

venv: $(VENV)/.complete ## create .venv with everything (seconds; again only when a requirements file changed)

$(VENV)/.complete: requirements.txt requirements-dev.txt tools/requirements-uv.txt tools/venv.sh
	@tools/venv.sh "$(VENV)"

demo: venv ## run the daily checks, a backup and the report against a sandbox; no root needed
	@$(PYTHON_BIN) tests/demo/demo.py

demo-down: venv ## stop the sandbox of the demo
	@$(SANDBOX) down

test: venv ## everything: lint, sanity, unit, integration, package, demo and, as root, the lab
	@$(CHECKS)

lint: venv ## ruff, mypy, yamllint, ansible-lint, changelog, collection docs
	@$(CHECKS) lint

sanity: venv ## ansible-test sanity, this core and the newest
	@$(CHECKS) sanity

units: venv ## unit tests: this core, the newest, the oldest target Python
	@$(CHECKS) units

integration: venv ## integration tests against real processes
	@$(CHECKS) integration

lab: venv ## boot the lab hosts (root, systemd-nspawn) and leave them running
	@$(LAB) up

lab-down: venv ## remove the lab hosts
	@$(LAB) down

N ?= 10
KIND ?= planned
faults: venv ## fail over N times under writers (root; KIND=planned|faulty|emergency|unreachable|behind|returned|controller|all, SEED=...)
	@$(PYTHON_BIN) tests/faults/campaign.py -n $(N) --kind $(KIND) $(if $(SEED),--seed $(SEED)) $(FAULTS)

bench: venv ## measure the checks and the backups against the usual ways to do them
	@$(PYTHON_BIN) tests/bench/shift.py
	@$(PYTHON_BIN) tests/bench/backup.py

docs: venv ## write docs/probes.md and build the documentation into .cache/docs
	@$(PYTHON_BIN) tools/probe_docs.py --write
	@VENV="$(VENV)" tools/docs.sh .cache/docs

clean: ## remove what the targets made, but not .venv
	@[ ! -d .demo ] || [ ! -x $(PYTHON_BIN) ] || $(SANDBOX) down
	rm -rf .cache .demo .bench dist tests/output .ansible
