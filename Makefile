# One line per target; what it does is in the folder that it names.
.DEFAULT_GOAL := help
PYTHON_OF := .venv/bin/python
# What goes on until Ctrl-C: the shell outlives it, and tells make of no error.
UNTIL_CTRL_C = trap : INT; $(1) || test $$? -eq 130

##@ On this machine
.PHONY: help setup up restart traces down logs demo recording

help: ; @sed -nE -e 's,^[#]#@ (.*),\n\1,p' -e 's,^([a-z0-9-]+):.*[#]# (.*),  \1\t\2,p' Makefile | expand -t 18 ## show this
setup: ; @dev/setup.sh ## install what is missing (uv, packages, RabbitMQ, Redis, mongod)
up: setup ; @$(PYTHON_OF) -m dev up ## start servers and services in the background, with a small shop (SEED=false: without)
restart: ; @$(PYTHON_OF) -m dev restart "$(SERVICE)" ## start one service again, with the settings given now; SERVICE=order
traces: setup ; @dev/traces.sh ## the same as up, with Jaeger: the way of each order through all services (builds it, once)
down: ; @$(PYTHON_OF) -m dev down ## stop what `make up` started
logs: ; @$(call UNTIL_CTRL_C,$(PYTHON_OF) -m dev logs $(SERVICE) $(if $(ORDER),--order "$(ORDER)") $(if $(filter false,$(FOLLOW)),--no-follow)) ## follow the services' logs; ORDER=<id>, SERVICE=order (or mongodb, rabbitmq, redis), FOLLOW=false
demo: setup ; @$(PYTHON_OF) -m dev.demo ## see it work, live in the terminal, on servers of its own (a minute)
recording: setup ; @$(PYTHON_OF) -m dev.recording $(if $(ORDER),docs/images/trace.svg '$$ sagactl orders trace ORDER' .venv/bin/sagactl orders trace $(ORDER),docs/images/demo.svg '$$ make demo' $(PYTHON_OF) -m dev.demo) ## film the demo for the README; ORDER=<id> films its trace (make traces)

##@ On a cluster
.PHONY: cluster-build cluster-up cluster-down cluster-check images pin kind-up package

cluster-build: ; @dev/cluster/packages.sh && dev/cluster/build.sh ## build the local cluster's programs into the cache (minutes, once)
cluster-up: ; @dev/cluster/up.sh ## start a real single-node Kubernetes on this machine, as root (docs/local-cluster.md)
cluster-down: ; @dev/cluster/down.sh ## stop it
cluster-check: ; @cd dev/cluster && export CGO_ENABLED=0 GOFLAGS=-trimpath && test -z "$$(gofmt -l .)" && go vet ./policies && go test ./policies ## check and test the cluster's own Go code
images: ; @PUSH="$(PUSH)" COMMIT="$(COMMIT)" k8s/images.sh ## build all images, print size and start time, load them into the cluster; PUSH=<registry>/<team> pushes them instead, for amd64 and arm64; COMMIT=<commit>: of another version
pin: ; @k8s/pin.sh ## have the Dockerfile name its base image by the digest that its registry gives today
kind-up: ; @k8s/kind_up.sh ## the same on kind, where kind and an image registry are at hand
package: setup ; @$(PYTHON_OF) -m dev.package --registry "$(REGISTRY)" --home "$(HOME_URL)" --url "$(URL)" --push "$(PUSH)" ## write the charts as single files, with an index, to .run/charts; REGISTRY=<of our images> PUSH=oci://<registry>

##@ Change it, test it, measure it
.PHONY: lint chart-lint advisories sbom release format docs test test-long coverage modes clients clients-test unit fuzz simulate torture-payments bench bench-peers capacity bench-webhooks bench-viewers judge marketplace live-check soak chaos survive chart-test e2e

lint: setup chart-lint ; @dev/lint.sh ## ruff, mypy --strict, import-linter, shellcheck, hadolint, actionlint, zizmor, chart-lint
chart-lint: setup ; @$(PYTHON_OF) -m dev.chart_lint ## checkov over the rendered charts (downloads it, once)
advisories: setup ; @$(PYTHON_OF) -m dev.supply_chain advisories ## look what uv.lock names up in the database of known vulnerabilities; OSV_URL=<mirror>
sbom: setup ; @$(PYTHON_OF) -m dev.supply_chain sbom ## write what each image is made of, with hashes (CycloneDX), to .run/sbom
release: setup ; @$(PYTHON_OF) -m dev.release prepare "$(VERSION)" ## write a new version everywhere, and begin its section of the changelog; VERSION=0.2.0
format: setup ; @.venv/bin/ruff check --fix -q . ; .venv/bin/ruff format -q . ## let ruff write it
docs: setup ; @$(PYTHON_OF) -m services.shared.http.kinds --write docs/errors.md && $(PYTHON_OF) -m services.order.diagram --write README.md docs/tables.md && $(PYTHON_OF) -m services.payment.diagram --write docs/tables.md && $(PYTHON_OF) -m services.inventory.diagram --write docs/tables.md && $(PYTHON_OF) -m services.fulfilment.diagram --write docs/tables.md && $(PYTHON_OF) -m sagactl.oncall.schemas docs/sagactl && $(PYTHON_OF) -m charts.document && $(PYTHON_OF) -m dev.dashboards && $(PYTHON_OF) -m dev.contract && $(PYTHON_OF) -m dev.description && $(PYTHON_OF) -m dev.chaos.document && $(PYTHON_OF) -m bench.documents ## draw the tables, list the errors, describe charts, events and the API, tell what chaos was played, write the dashboards and the schemas of sagactl
modes: setup ; @.venv/bin/pytest -q --modes tests/unit tests/engine tests/integration/saga tests/integration/test_webhooks.py tests/integration/test_webhooks_restarted.py ## each failure mode by the tests that show it; writes docs/failure-modes.md
clients: setup ; @dev/clients/build.sh ## generate and build the Python and the TypeScript client of the API, in .run/clients (docs/clients.md)
clients-test: setup ; @$(PYTHON_OF) -m dev.clients ## have each of them place an order, on servers of its own (make clients first)
unit: setup ; @.venv/bin/pytest -q tests/unit tests/operator ## the fast tests, no servers
fuzz: setup ; @HYPOTHESIS_PROFILE=fuzz .venv/bin/pytest -q tests/unit tests/operator ## the fast tests with new random examples, 2,000 for each property (long)
simulate: setup ; @$(PYTHON_OF) -m dev.simulate --seed $(or $(SEED),1) --sagas $(or $(SAGAS),10000) ## the engine itself under a seeded scheduler; SEED=7 SAGAS=100000, or SEED=7.31 for one shop
torture-payments: setup ; @$(PYTHON_OF) -m dev.torture --seed $(or $(SEED),1) --orders $(or $(ORDERS),10000) ## payments that answer later, by a double of Stripe in simulated shops (long); SEED=7.31 for one shop
test: setup ; @dev/test.sh ## every test but the cluster's and the long ones, on real servers, in lanes side by side
test-long: setup ; @.venv/bin/pytest -q -m long tests/integration ## what a whole shop is started for: `make up` through all that befalls it, a shop by TLS alone
coverage: setup ; @COVERAGE=true dev/test.sh ## the same tests, counting what of the code they run, which takes them twice the work
bench: setup ; @$(PYTHON_OF) -m bench $(BENCH) ## orders per second, latency, CPU, recovery (minutes); BENCH="--short", BENCH="--phases direct,hotProduct --flame"
bench-peers: setup ; @bench/peers/run.sh $(PEERS) ## the same order saga on DBOS, on Temporal and on sagashop, in turns (half an hour); PEERS="--only sagashop,dbos --turns 1"
capacity: setup ; @$(PYTHON_OF) -m bench.capacity $(or $(RATE),1000) $(CAPACITY) ## what so many orders per second need, by what was measured; RATE=10000, CAPACITY="--run .run/bench.json"
bench-webhooks: setup ; @LOG_LEVEL=warning .venv/bin/pytest -q -s --show-capture=no tests/integration/bench_webhooks.py ## what a dead endpoint costs another, and webhooks where there is none (minutes); TURNS=30
bench-viewers: setup ; @$(PYTHON_OF) -m bench.viewers $(VIEWERS) ## what fifty people cost who look at the console all the time (four minutes); VIEWERS="--every 2 --rate 0"
judge: setup ; @$(PYTHON_OF) -m bench.judge $(JUDGE) ## others' consistency test: 100 pieces, 1,000 orders at once (minutes); JUDGE=--kill kills services meanwhile
marketplace: setup ; @$(PYTHON_OF) -m bench.marketplace $(MARKETPLACE) ## the criteria of the Online Marketplace benchmark, counted in a shop at work (two minutes); MARKETPLACE=--kill kills services meanwhile
live-check: setup ; @MINUTES=$(or $(MINUTES),10) LOG_LEVEL=warning .venv/bin/pytest -q -s --show-capture=no -k all_that_is_planted tests/integration/saga/test_saga_live_check.py ## whether the live check names what is planted, and nothing else, at 40 orders/s while processes are killed; MINUTES=10
soak: setup ; @$(PYTHON_OF) -m bench --memory 100000 $(SOAK) ## whether memory, descriptors and collections stay flat over 100,000 orders (12 minutes); SOAK="--rate 100"
# Of `make up`, SEED says whether the shop is filled: this one's is no business of the shop's.
chaos: setup ; @env -u SEED $(PYTHON_OF) -m dev.chaos --seed $(or $(SEED),1) $(CHAOS) ## hurt one shop round after round, alone and in pairs, as SEED=7 tells; CHAOS="--short", CHAOS="broker-killed redis-slow"
survive: setup ; @$(PYTHON_OF) -m dev.survive $(SURVIVE) ## hurt a whole shop in every way we know, and see it recover; SURVIVE="--short broker-kill"
chart-test: setup ; @.venv/bin/pytest -q tests/charts tests/monitoring ## render and validate every chart, try every alert
e2e: setup ; @.venv/bin/pytest -q tests/e2e ## on the cluster of KUBECONFIG (make cluster-up images first)
.PHONY: service service-test browse e2e-long drill alert-drill versions
service: setup ; @$(PYTHON_OF) -m dev.scaffold "$(NAME)" && make --no-print-directory docs ## write a new service, with its chart and tests, and enter it everywhere; NAME=loyalty (docs/your-own-step.md)
service-test: setup ; @.venv/bin/pytest -q tests/scaffold $(SCAFFOLD) ## whether what `make service` writes is as green as all the rest (minutes); SCAFFOLD="-k 'not every and not all'" is short
browse: setup ; @.venv/bin/pytest -q tests/browser ## the console in Chromium: accessible, by keyboard, without JavaScript; pictures of all pages in .run/console
alert-drill: setup ; @$(PYTHON_OF) -m dev.alert_drill $(DRILL) ## break a shop under orders: each alert arrives, its runbook helps, it resolves (minutes); DRILL=--list, DRILL=--all, DRILL="SagashopRedisAway SagashopDeadLetters"
versions: setup ; @$(PYTHON_OF) -m dev.versions "$(BEFORE)" $(VERSIONS) ## roll a shop of an older version up to this one and back down, under orders (two minutes); BEFORE=v0.1.0, or a commit
e2e-long: setup ; @.venv/bin/pytest -q tests/e2e -m long ## there, too, what is slow and rare: nodes and volumes lost, a shop on trial, TLS, an older version (BEFORE=v0.1.0) beside this one
drill: setup ; @.venv/bin/pytest -q tests/e2e -m drill ## there, too: copy the databases under load, restore them elsewhere, print RPO and RTO
