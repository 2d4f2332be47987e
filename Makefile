# Everything installs itself: Python packages into .venv, the CDK CLI into node_modules.

VENV := .venv/bin
READY := .venv/.installed
UV := $(VENV)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-index-url

TORTURE_MINUTES ?= 15

# What depends on S3's own behaviour, and on no execution.
MOTO_TESTS := objects fast_bucket manifests bucket relabel secrets

# Each process starts servers of its own, and a file's tests share some.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

PAGES := README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs/*.md docs/decisions/*.md

.PHONY: help demo test unit infra integration moto e2e torture check bench synth docs lock smoke release audit install clean

help: ## List these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r target text; \
		do printf '  %-14s %s\n' "$$target" "$$text"; done

demo: $(READY) ## See it work: three days of four clusters, on this machine (KEEP=1 leaves it running)
	@KEEP=$(KEEP) $(VENV)/python -m localcloud.demo

test: unit infra integration moto e2e ## All tests, lane by lane

unit: $(READY) ## Tests without servers, in parallel
	@$(VENV)/python -m pytest -n auto tests/unit $(ARGS)

infra: node_modules/.installed ## Tests of the synthesized stack, in parallel
	@$(VENV)/python -m pytest -n auto tests/infra $(ARGS)

integration: node_modules/.installed ## Tests against Prometheus, MiniStack and other servers that they start
	@$(VENV)/python -m pytest $(PARALLEL) tests/integration $(ARGS)

moto: $(READY) ## The tests of what is stored, against a second implementation of AWS: moto
	@AWS_SERVER=moto $(VENV)/python -m pytest $(PARALLEL) $(MOTO_TESTS:%=tests/integration/test_%.py) $(ARGS)

e2e: node_modules/.installed ## Tests of whole deployments by the CDK CLI on the local cloud
	@$(VENV)/python -m pytest $(PARALLEL) tests/e2e $(ARGS)

torture: $(READY) ## Random faults, kills and hostile data for TORTURE_MINUTES=15 (SEED=n: the same again)
	@TORTURE_MINUTES=$(TORTURE_MINUTES) SEED=$(SEED) $(VENV)/python -m pytest tests/torture --show-capture=no $(ARGS)

check: node_modules/.installed ## ruff, mypy, and the words of pages, docstrings and comments
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/python -m tests.prose.extract build/prose
	@PATH="$(CURDIR)/$(VENV):$$PATH" npx --no-install textlint -f unix $(PAGES) "build/prose/**/*.md"

bench: $(READY) ## What is fast, measured
	@$(VENV)/python -m bench $(ARGS)

synth: node_modules/.installed ## The CloudFormation template, into cdk.out (ARGS="-c name=value ...")
	@PATH="$(CURDIR)/$(VENV):$$PATH" npx --no-install cdk synth --quiet $(ARGS)

install: node_modules/.installed ## Only install: .venv and the CDK CLI

docs: $(READY) ## The pages that are made from the code
	@$(VENV)/python -m release.settings_page
	@$(VENV)/python -m release.sections

lock: $(READY) ## Pin what requirements.in and lambda/requirements.in ask for (ARGS=--upgrade: the newest)
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) $(ARGS) -o requirements.txt requirements.in
	$(UV) $(ARGS) -c requirements.txt -o lambda/requirements.txt lambda/requirements.in

smoke: node_modules/.installed ## A whole life of the stack in a real account, with the shell's credentials (ARGS="-c hostname=… …")
	@$(VENV)/python -m smoke $(ARGS)

release: node_modules/.installed ## The files of a release, into build/release (TAG=v1.0.0: held against the version)
	@PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python -m release $(TAG)

audit: node_modules/.installed ## Known vulnerabilities of what is pinned (asks PyPI and npm; a mirror may not know)
	@$(VENV)/pip-audit --strict --disable-pip --require-hashes \
		-r lambda/requirements.txt -r requirements.txt
	@PATH="$(CURDIR)/$(VENV):$$PATH" npm audit

clean: ## Remove what was installed and built
	rm -rf .venv node_modules build cdk.out .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): requirements.txt localcloud/bootstrap.sh
	@sh localcloud/bootstrap.sh

node_modules/.installed: package-lock.json $(READY)
	@$(VENV)/python -m localcloud.cdk
