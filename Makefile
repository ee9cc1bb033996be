# One line a target; what it does is in the folder that it names.
.DEFAULT_GOAL := help
PYTHON_OF := .venv/bin/python

.PHONY: help setup up down logs demo

help: ; @sed -nE 's,^([a-z-]+):[^,]*## (.*),\1\t\2,p' Makefile | expand -t 16
setup: ; @dev/setup.sh ## install what is missing (uv, packages, RabbitMQ, Redis, mongod)
up: setup ; @$(PYTHON_OF) -m dev up ## start servers and services in the background (.run/stack.json)
down: ; @$(PYTHON_OF) -m dev down ## stop what `make up` started
logs: ; @$(PYTHON_OF) -m dev logs ## follow all logs
demo: setup ; @$(PYTHON_OF) -m dev.demo ## see it work, live in the terminal, on servers of its own

.PHONY: cluster-build cluster-up cluster-down cluster-check images kind-up

cluster-build: ; @k8s/local/packages.sh && k8s/local/build.sh ## build the local cluster's programs into the cache (minutes, once)
cluster-up: ; @k8s/local/up.sh ## start a real single-node Kubernetes on this machine, as root (docs/local-cluster.md)
cluster-down: ; @k8s/local/down.sh ## stop it
cluster-check: ; @cd k8s/local && export CGO_ENABLED=0 GOFLAGS=-trimpath && test -z "$$(gofmt -l .)" && go vet ./policies && go test ./policies ## check and test the cluster's own Go code
images: ; @k8s/images.sh ## build all images, print size and start time, load them into the cluster
kind-up: ; @k8s/kind_up.sh ## the same on kind, where kind and an image registry are at hand

.PHONY: lint format test unit bench chart-test e2e

lint: setup ; @dev/lint.sh ## ruff, mypy --strict, import-linter, shellcheck
format: setup ; @.venv/bin/ruff check --fix -q . ; .venv/bin/ruff format -q . ## let ruff write it
unit: setup ; @.venv/bin/pytest -q tests/unit tests/operator ## the fast tests, no servers
test: setup ; @.venv/bin/pytest --cov --cov-report=term:skip-covered tests/unit tests/operator tests/engine tests/integration tests/charts ## every test but the cluster's
bench: setup ; @$(PYTHON_OF) -m bench $(BENCH) ## orders per second; BENCH="--orders 5000"
chart-test: setup ; @.venv/bin/pytest -q tests/charts ## render, validate and lint every chart
e2e: setup ; @.venv/bin/pytest -q tests/e2e ## on the cluster of KUBECONFIG (make cluster-up images first)
