# One line per target; what it does is in the folder that it names.
.DEFAULT_GOAL := help
PYTHON_OF := .venv/bin/python
# What goes on until Ctrl-C: the shell outlives it, and tells make of no error.
UNTIL_CTRL_C = trap : INT; $(1) || test $$? -eq 130

##@ On this machine
.PHONY: help setup up restart traces down logs demo recording

help: ; @sed -nE -e 's,^[#]#@ (.*),\n\1,p' -e 's,^([a-z0-9-]+):.*[#]# (.*),  \1\t\2,p' Makefile | expand -t 18 ## show this list
setup: ; @dev/setup.sh ## install what is missing (uv, packages, RabbitMQ, Redis, mongod)
up: setup ; @$(PYTHON_OF) -m dev up ## start servers and services in the background, with sample data (SEED=false: without)
restart: ; @$(PYTHON_OF) -m dev restart "$(SERVICE)" ## restart one service with the given settings; SERVICE=order
traces: setup ; @dev/traces.sh ## the same as up, with Jaeger for the traces of orders (builds Jaeger the first time)
down: ; @$(PYTHON_OF) -m dev down ## stop what `make up` started; the data stays
logs: ; @$(call UNTIL_CTRL_C,$(PYTHON_OF) -m dev logs $(SERVICE) $(if $(ORDER),--order "$(ORDER)") $(if $(filter false,$(FOLLOW)),--no-follow)) ## follow the services' logs; ORDER=<id>, SERVICE=order (or mongodb, rabbitmq, redis), FOLLOW=false
demo: setup ; @$(PYTHON_OF) -m dev.demo ## show every flow live in the terminal, on its own servers (one minute)
recording: setup ; @$(PYTHON_OF) -m dev.recording $(if $(ORDER),docs/images/trace.svg '$$ sagactl orders trace ORDER' .venv/bin/sagactl orders trace $(ORDER),docs/images/demo.svg '$$ make demo' $(PYTHON_OF) -m dev.demo) ## record the demo for the README; ORDER=<id> records the trace of that order (after make traces)

##@ On a cluster
.PHONY: cluster-build cluster-up cluster-down cluster-check images pin kind-up package

cluster-build: ; @dev/cluster/packages.sh && dev/cluster/build.sh ## build the programs of the local cluster into the cache (minutes, the first time)
cluster-up: ; @dev/cluster/up.sh ## start a real single-node Kubernetes on this machine, as root (docs/local-cluster.md)
cluster-down: ; @dev/cluster/down.sh ## stop that cluster
cluster-check: ; @cd dev/cluster && export CGO_ENABLED=0 GOFLAGS=-trimpath && test -z "$$(gofmt -l .)" && go vet ./policies && go test ./policies ## check and test the cluster's own Go code
images: ; @PUSH="$(PUSH)" COMMIT="$(COMMIT)" k8s/images.sh ## build all images, print their size and start time, load them into the cluster; PUSH=<registry>/<team> pushes them instead, for amd64 and arm64; COMMIT=<commit> builds another version
pin: ; @k8s/pin.sh ## write the current digest of the base image into the Dockerfile
kind-up: ; @k8s/kind_up.sh ## create a kind cluster (needs kind and an image registry)
package: setup ; @$(PYTHON_OF) -m dev.package --registry "$(REGISTRY)" --home "$(HOME_URL)" --url "$(URL)" --push "$(PUSH)" ## package the charts, with an index, into .run/charts; REGISTRY=<registry of our images> PUSH=oci://<registry>

##@ Change it, test it, measure it
.PHONY: lint chart-lint advisories sbom release format docs test test-long coverage modes clients clients-test unit fuzz simulate torture-payments bench bench-peers capacity bench-webhooks bench-viewers judge marketplace live-check soak chaos survive chart-test e2e

lint: setup chart-lint ; @dev/lint.sh ## run ruff, mypy --strict, import-linter, shellcheck, hadolint, actionlint, zizmor, chart-lint
chart-lint: setup ; @$(PYTHON_OF) -m dev.chart_lint ## run checkov on the rendered charts (downloads checkov the first time)
advisories: setup ; @$(PYTHON_OF) -m dev.supply_chain advisories ## look up the packages of uv.lock in a database of known vulnerabilities; OSV_URL=<mirror>
sbom: setup ; @$(PYTHON_OF) -m dev.supply_chain sbom ## write a software bill of materials (CycloneDX) of each image to .run/sbom
release: setup ; @$(PYTHON_OF) -m dev.release prepare "$(VERSION)" ## write a new version everywhere, and create its section of the changelog; VERSION=0.2.0
format: setup ; @.venv/bin/ruff check --fix -q . ; .venv/bin/ruff format -q . ## format the code, and fix what ruff can fix
docs: setup ; @$(PYTHON_OF) -m services.shared.http.kinds --write docs/errors.md && $(PYTHON_OF) -m services.order.diagram --write README.md docs/tables.md && $(PYTHON_OF) -m services.payment.diagram --write docs/tables.md && $(PYTHON_OF) -m services.inventory.diagram --write docs/tables.md && $(PYTHON_OF) -m services.fulfilment.diagram --write docs/tables.md && $(PYTHON_OF) -m sagactl.oncall.schemas docs/sagactl && $(PYTHON_OF) -m charts.document && $(PYTHON_OF) -m dev.dashboards && $(PYTHON_OF) -m dev.contract && $(PYTHON_OF) -m dev.description && $(PYTHON_OF) -m dev.chaos.document && $(PYTHON_OF) -m bench.documents ## generate what is written from code: tables, errors, charts, events, the API, chaos, performance, dashboards, schemas of sagactl
modes: setup ; @.venv/bin/pytest -q --modes tests/unit tests/engine tests/integration/saga tests/integration/test_webhooks.py tests/integration/test_webhooks_restarted.py ## run the tests of each failure mode, and write docs/failure-modes.md
clients: setup ; @dev/clients/build.sh ## generate and build the Python and TypeScript clients of the API in .run/clients (docs/clients.md)
clients-test: setup ; @$(PYTHON_OF) -m dev.clients ## place an order with each generated client, on its own servers (make clients first)
unit: setup ; @.venv/bin/pytest -q tests/unit tests/operator ## run the fast tests, without servers
fuzz: setup ; @HYPOTHESIS_PROFILE=fuzz .venv/bin/pytest -q tests/unit tests/operator ## run the fast tests with new random examples, 2,000 per property (long)
simulate: setup ; @$(PYTHON_OF) -m dev.simulate --seed $(or $(SEED),1) --sagas $(or $(SAGAS),10000) ## run the real engine in simulated shops with injected faults; SEED=7 SAGAS=100000, or SEED=7.31 for one shop
torture-payments: setup ; @$(PYTHON_OF) -m dev.torture --seed $(or $(SEED),1) --orders $(or $(ORDERS),10000) ## test payments that are decided later, with a double of Stripe in simulated shops (long); SEED=7.31 for one shop
test: setup ; @dev/test.sh ## run all tests except the cluster's and the long ones, on real servers, in parallel
test-long: setup ; @.venv/bin/pytest -q -m long tests/integration ## run the long tests, which start a whole shop: `make up` under failures, a shop with TLS only
coverage: setup ; @COVERAGE=true dev/test.sh ## run the same tests as `make test`, and measure their code coverage (twice the work)
bench: setup ; @$(PYTHON_OF) -m bench $(BENCH) ## measure orders per second, latency, CPU and recovery (minutes); BENCH="--short", BENCH="--phases direct,hotProduct --flame"
bench-peers: setup ; @bench/peers/run.sh $(PEERS) ## compare the same order saga on DBOS, Temporal and sagashop, in turns (half an hour); PEERS="--only sagashop,dbos --turns 1"
capacity: setup ; @$(PYTHON_OF) -m bench.capacity $(or $(RATE),1000) $(CAPACITY) ## calculate the capacity for a rate of orders from a measurement; RATE=10000, CAPACITY="--run .run/bench.json"
bench-webhooks: setup ; @LOG_LEVEL=warning .venv/bin/pytest -q -s --show-capture=no tests/integration/bench_webhooks.py ## measure what webhooks cost, and what a dead endpoint costs another one (minutes); TURNS=30
bench-viewers: setup ; @$(PYTHON_OF) -m bench.viewers $(VIEWERS) ## measure the load of fifty people who use the console all the time (four minutes); VIEWERS="--every 2 --rate 0"
judge: setup ; @$(PYTHON_OF) -m bench.judge $(JUDGE) ## run the consistency test of TU Delft: 1,000 orders for 100 pieces at once (minutes); JUDGE=--kill also kills services
marketplace: setup ; @$(PYTHON_OF) -m bench.marketplace $(MARKETPLACE) ## check the criteria of the Online Marketplace benchmark in a shop under load (two minutes); MARKETPLACE=--kill also kills services
live-check: setup ; @MINUTES=$(or $(MINUTES),10) LOG_LEVEL=warning .venv/bin/pytest -q -s --show-capture=no -k all_that_is_planted tests/integration/saga/test_saga_live_check.py ## test that the live check finds planted errors and nothing else, at 40 orders/s while processes are killed; MINUTES=10
soak: setup ; @$(PYTHON_OF) -m bench --memory 100000 $(SOAK) ## test that memory, descriptors and collections stay flat over 100,000 orders (12 minutes); SOAK="--rate 100"
# For `make up`, SEED says whether the shop is filled with sample data. This SEED is another one: the shop does not get it.
chaos: setup ; @env -u SEED $(PYTHON_OF) -m dev.chaos --seed $(or $(SEED),1) $(CHAOS) ## inject faults into one shop, round after round, alone and in pairs, chosen by SEED=7; CHAOS="--short", CHAOS="broker-killed redis-slow"
survive: setup ; @$(PYTHON_OF) -m dev.survive $(SURVIVE) ## break a whole shop in every known way, and check that it recovers; SURVIVE="--short broker-kill"
chart-test: setup ; @.venv/bin/pytest -q tests/charts tests/monitoring ## render and validate every chart, test every alert
e2e: setup ; @.venv/bin/pytest -q tests/e2e ## run the end-to-end tests on the cluster of KUBECONFIG (make cluster-up images first)
.PHONY: service service-test browse e2e-long drill alert-drill versions
service: setup ; @$(PYTHON_OF) -m dev.scaffold "$(NAME)" && make --no-print-directory docs ## write a new service with its chart and tests, and register it everywhere; NAME=loyalty (docs/your-own-step.md)
service-test: setup ; @.venv/bin/pytest -q tests/scaffold $(SCAFFOLD) ## test that what `make service` writes passes every check (minutes); SCAFFOLD="-k 'not every and not all'" is short
browse: setup ; @.venv/bin/pytest -q tests/browser ## test the console in Chromium: accessibility, keyboard, without JavaScript; writes pictures of all pages to .run/console
alert-drill: setup ; @$(PYTHON_OF) -m dev.alert_drill $(DRILL) ## break a shop under load: each alert fires, its runbook helps, the alert resolves (minutes); DRILL=--list, DRILL=--all, DRILL="SagashopRedisAway SagashopDeadLetters"
versions: setup ; @$(PYTHON_OF) -m dev.versions "$(BEFORE)" $(VERSIONS) ## upgrade a shop from an older version to this one and back, under load (two minutes); BEFORE=v0.1.0, or a commit
e2e-long: setup ; @.venv/bin/pytest -q tests/e2e -m long ## run the slow end-to-end tests: lost nodes and volumes, a shop under load and faults, TLS, an older version (BEFORE=v0.1.0) beside this one
drill: setup ; @.venv/bin/pytest -q tests/e2e -m drill ## back up the databases of that cluster under load, restore them elsewhere, print RPO and RTO
