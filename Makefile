# Every target with a '##' comment appears in 'make help'. The logic is in Python: infra/local and the m0 command.
# what is compiled once is kept: a stack or a run of the tests starts hundreds of processes
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
M0 := .venv/bin/m0
PACKAGES := $(notdir $(filter-out %.egg-info,$(wildcard libs/*/src/* services/*/src/* infra/*/src/*)))

.DEFAULT_GOAL := help
.PHONY: help up down status logs verify clean test e2e soak lint typecheck format coverage bench images images-pin compose-test helm-check cluster-test terraform-check programs programs-test asyncapi replay lock env env-dev

help:  ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

up: env  ## Set up what is needed, start the whole stack, wait until it is ready, print the addresses
	@$(M0) up

down: need-env  ## Stop the stack; its data stays
	@$(M0) down

status: need-env  ## What runs, is it ready, where is it reached
	@$(M0) status

logs: need-env  ## Follow one log: make logs SERVICE=ingest
	@test -n "$(SERVICE)" || { echo "Name a service: make logs SERVICE=ingest" >&2; exit 2; }
	@$(M0) logs -f "$(SERVICE)"

verify: need-env  ## Every box of the verification checklist, with a line of evidence: m0 doctor
	@$(M0) doctor $(ARGS)

clean: need-env  ## Stop the stack and drop its data, keys and logs; downloads stay
	@$(M0) clean

test: env-dev  ## Install what is needed and test every part: make test ARGS="-k merkle"
	@.venv/bin/pytest -n 5 $(ARGS)

e2e: env-dev  ## Test a running stack, the commands that run it, and each service from its own wheel in an empty folder
	@.venv/bin/pytest -n 2 tests/e2e tests/stack tests/deployment $(ARGS)

soak: env-dev  ## One long test, whole: make soak PART=kills; without PART it names them all
	@.ci/soak "$(PART)"

coverage: env-dev  ## Unit tests of libraries and services, and how much of each package they went through, by branches
	@.venv/bin/python infra/local/branch_coverage.py $(ARGS)

lint: env-dev  ## Check style, imports, house rules and declared dependencies
	@.ci/lint

format: env-dev  ## Put the code into shape
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

typecheck: env-dev  ## Check types, strictly
	@.venv/bin/mypy --strict $(addprefix -p ,$(PACKAGES))

bench: env-dev  ## Benchmarks; only the ratios taken in one run mean something
	@.venv/bin/python -m m0local.benchmark libs/m0common/bench/loop.py
	@.venv/bin/python libs/m0lanes/bench/stages.py
	@.venv/bin/python libs/m0lanes/bench/before.py
	@.venv/bin/python -m m0local.benchmark libs/m0lanes/bench/latency.py
	@.venv/bin/python libs/m0lanes/bench/scale.py
	@.venv/bin/python libs/m0lanes/bench/checkpoints.py
	@.venv/bin/python services/signer/bench/workers.py
	@.venv/bin/python services/realtime/bench/fanout.py

images: env-dev  ## Build container images with docker, podman or buildah; NAMES="api m0" some of them
	@.venv/bin/python infra/images/build.py $(ARGS) $(NAMES)

images-pin: env-dev  ## Write the digests of servers' images for Compose and the chart; ARGS="--registry HOST"
	@.venv/bin/python infra/images/pin.py $(ARGS)

compose-test: env-dev  ## Try infra/compose on the Docker engine that answers (DOCKER_HOST): build, start, crash, stop
	@.venv/bin/pytest tests/compose $(ARGS)

helm-check: env-dev  ## Render the chart for every environment and judge it; FULL=1 against every version of Kubernetes
	@.venv/bin/pytest tests/helm $(ARGS)

cluster-test: env-dev  ## Try the chart on a Kubernetes (KUBECONFIG, or M0_TEST_CLUSTER starts one): install, edges, crashes
	@.venv/bin/pytest tests/cluster $(ARGS)

CHECKOV := .m0/cache/checkov/bin
terraform-check: env-dev  ## Judge infra/terraform with checkov, which is installed beside the rest
	@test -x $(CHECKOV)/checkov || { .venv/bin/uv venv -q --clear .m0/cache/checkov && .venv/bin/uv pip install -q \
	  --python $(CHECKOV)/python --require-hashes -r infra/terraform/checkov.lock; }
	@$(CHECKOV)/checkov --directory infra/terraform --framework terraform --compact --quiet --skip-download

programs-test: env-dev  ## Test the toolchain that builds the programs: linker, arithmetic, what the VM cannot run
	@.venv/bin/pytest programs/toolchain $(ARGS)

programs: env-dev  ## Build the Solana programs; FORCE=1 from nothing, CHECK=1 compares with the committed ones
	@cd programs && ../.venv/bin/python build.py $(if $(FORCE),--force) $(if $(CHECK),--check)

asyncapi: env-dev  ## Write docs/asyncapi.json, the schemas of all topics, from messages and domains
	@.venv/bin/python -m m0cli.asyncapi >docs/asyncapi.json

replay: env  ## Rebuild an epoch's root from the log: make replay CATALOG=sports EPOCH=123 [FULL=1]
	@test -n "$(CATALOG)" -a -n "$(EPOCH)" || { echo "Name both: make replay CATALOG=sports EPOCH=123" >&2; exit 2; }
	@$(M0) replay "$(CATALOG)" "$(EPOCH)" $(if $(FULL),--full)

lock: env-dev  ## Resolve the dependencies again and write both hash-pinned locks
	@.venv/bin/python infra/local/lock.py
	@.venv/bin/python infra/images/locks.py

env: need-python  ## The command `m0` alone, as .venv/bin/m0, without starting anything
	@$(PYTHON) infra/local/bootstrap.py runtime

env-dev: need-python
	@$(PYTHON) infra/local/bootstrap.py dev

.PHONY: need-python need-env
need-python:
	@command -v $(PYTHON) >/dev/null || { echo "Error: $(PYTHON) is missing: run 'apt install python3 python3-venv'." >&2; exit 1; }

need-env:
	@test -x $(M0) || { echo "Error: nothing is set up here yet: run 'make up' first." >&2; exit 1; }
