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

.PHONY: cluster-up cluster-down cluster-build images kind-up

cluster-build: ; k8s/local/packages.sh && k8s/local/build.sh
cluster-up: ; k8s/local/up.sh
cluster-down: ; k8s/local/down.sh
images: ; k8s/images.sh
kind-up: ; k8s/kind_up.sh
