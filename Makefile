# The front door. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
PACKAGES := --workspace --locked

.PHONY: help demo test check needs fmt lint sim

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: ## shows the main job with real processes and real traffic
	$(CARGO) build --release --locked -p belay-cli -p bookstore
	$${CARGO_TARGET_DIR:-target}/release/belay demo

test: needs check ## everything CI runs: installs what the tests need, then all tests
	$(CARGO) test $(PACKAGES) --no-fail-fast

sim: ## random plans, faults, kills and double workers; SEED=n runs one, SEEDS=n as many (default 2000)
	SIM_SEED=$(SEED) SIM_SEEDS=$(or $(SEEDS),2000) $(CARGO) test --locked -p belay-engine --test simulation -- --nocapture

check: fmt lint ## formatting and lints

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy $(PACKAGES) --all-targets -- -D warnings

needs: ## what the tests use of the system, from Debian's packages
	scripts/needs
