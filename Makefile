# The front door. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
PACKAGES := --workspace --locked

.PHONY: help demo test test-kubernetes-crash check needs fmt lint deny docs sim storm bench bench-engine bench-kubernetes bench-switches

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: ## shows the main job with real processes and real traffic
	$(CARGO) build --release --locked -p belay-cli -p bookstore
	$${CARGO_TARGET_DIR:-target}/release/belay demo

test: needs check ## everything CI runs: installs what the tests need, then all tests
	scripts/test $(PACKAGES)
	$(CARGO) test --release --locked -p belay-engine --test exhaustive -- --nocapture

SIM = SIM_SEED=$(SEED) SIM_FROM=$(FROM) SIM_DEPLOYMENTS=$(or $(DEPLOYMENTS),100000) SIM_THREADS=$(or $(THREADS),1) \
	$(CARGO) test --release --locked -p belay-engine

sim: ## 100,000 random deployments with everything that can go wrong; SEED=n plays one story, MUTANTS=1 breaks the engine
	$(SIM) $(if $(MUTANTS),--features mutants) --test simulation -- --nocapture $(if $(MUTANTS),mutant,whatever)

storm: needs ## three workers on PostgreSQL killed in turn, 200 deployments of real processes, its restart and its switch
	$(CARGO) test --locked -p belay-cli --test storm -- --nocapture

test-kubernetes-crash: needs ## Belay killed at every journal append and every driver call of releases on Kubernetes; not in CI
	BELAY_KUBERNETES_CRASH=all $(CARGO) test --locked -p belay-cli --test kubernetes -- crash:: --nocapture --test-threads=2

check: fmt lint deny ## formatting, lints, licences

docs: ## runs what the guides say, checks links, and builds the API's documentation
	$(CARGO) test --locked -p belay-cli --test docs
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(PACKAGES) --no-deps

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy $(PACKAGES) --all-targets -- -D warnings

deny:
	scripts/deny

# Each prints a Markdown table and writes target/bench/NAME.json.
BENCH = $(CARGO) build --release --locked -p belay-cli -p bookstore -p belay-bench && \
	$${CARGO_TARGET_DIR:-target}/release/belay-bench

bench: needs ## how fast it goes back, goes on after a kill, and what a step costs: docs/performance.md
	$(BENCH) core
	$(BENCH) engine

bench-engine: needs ## what the engine does a second, holds in memory, and how soon another worker goes on
	$(BENCH) engine

bench-kubernetes: needs ## ways back on Kubernetes and of Helm releases, beside what kubectl and helm take for the same
	$(BENCH) kubernetes

bench-switches: needs ## a million requests across twenty switches, beside nginx
	$(BENCH) switches

needs: ## what the tests use of the system, from Debian's packages
	scripts/needs
