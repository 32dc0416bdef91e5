# Contents (make help prints it with a word on each):
#
#   to try it        demo  django-helpdesk  cluster
#   to work on it    test  fuzz  fuzz-smoke  bench  overload  build  setup
#   to ship it       docker
#
# Each target first installs what is missing: see scripts/setup.

.PHONY: help demo django-helpdesk cluster test fuzz fuzz-smoke bench overload build setup docker

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- To try it

demo: ## the widget, an app behind the proxy and the login between them, on this machine
	@scripts/setup build
	cargo run --release --locked -- demo

django-helpdesk: ## the example: a Django help desk behind the proxy
	@scripts/setup helpdesk
	cargo build --release --locked
	examples/django-helpdesk/run

cluster: ## the example: three instances behind HAProxy, with one Redis
	@scripts/setup cluster
	cargo build --release --locked
	examples/cluster/run

# ---- To work on it

test: setup ## everything CI checks: format, lints, dependencies, tests
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --all-targets --locked -- -D warnings
	scripts/deny
	@$(MAKE) --no-print-directory fuzz-smoke
	@# Last, so that the totals end the output.
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x; cargo nextest run --locked --no-fail-fast; \
	else \
		set -x; cargo test --locked --no-fail-fast; \
	fi

fuzz: ## the fuzz targets, FUZZ_SECONDS (60) each: see fuzz/README.md
	@scripts/setup fuzz
	scripts/fuzz

fuzz-smoke: ## every fuzz target on its seeds and for ten seconds more, as make test runs them
	@scripts/setup fuzz
	FUZZ_PROFILE=dev FUZZ_SECONDS=10 scripts/fuzz

bench: ## the benchmarks; the numbers mean something only on a machine at rest
	@scripts/setup build
	scripts/bench-table

overload: ## good requests and memory beside slow clients, floods, abuse of HTTP/2 and idle WebSockets; some four minutes
	@scripts/setup build
	@# The very binary that `make build` makes, not one of the profile for benches.
	cargo bench --locked --no-fail-fast --profile release --bench overload --bench timing --bench websockets

build: ## the binary, target/release/vestibule
	@scripts/setup build
	cargo build --release --locked

setup: ## install what the tests need, without running them
	@scripts/setup test

# ---- To ship it

docker: ## the image vestibule:latest
	docker build -t vestibule --build-arg VESTIBULE_REVISION="$$(git rev-parse --short=12 HEAD 2>/dev/null)" .
