# The verbs of daily work. `make run` and `make test` install what they need first.

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
say = @printf '\033[1m==> %s\033[0m\n'

.PHONY: run test check fuzz bench-comments bench-faults bench-latency bench-webrtc bench-http bench-relay \
	audit sbom chart-readme web web-deps install-run install-test install-fuzz install-bench-http clean

## run: build everything and start `lectern all` with the demo broadcast
run: install-run web
	$(say) "Building lectern (the first time takes some minutes)"
	@$(CARGO) build --release --locked
	@exec $(TARGET_DIR)/release/lectern all --demo $(ARGS)

## test: everything that CI runs; ARGS are for the API's client, such as --seed 7
test: install-test web
	$(say) "Format and lints"
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	@$(CARGO) deny --log-level error check bans licenses sources
	@cd web && npm run --silent check && npm run --silent lint
	$(say) "Rust tests"
	@$(CARGO) test --workspace --all-features --locked --quiet
	$(say) "The API against its document"
	@LECTERN_BIN=$(abspath $(TARGET_DIR))/debug/lectern $(TARGET_DIR)/api-client/bin/python tests/api/fuzz.py $(ARGS)
	$(say) "The Helm chart: Helm's engine, Kubernetes' schemas, and the binary"
	@cd tests/helm && PYTHONDONTWRITEBYTECODE=1 LECTERN_BIN=$(abspath $(TARGET_DIR))/debug/lectern \
		$(abspath $(TARGET_DIR))/chart-tests/bin/python -m pytest
	$(say) "Metrics, alerts, dashboard, image, compose and systemd"
	@LECTERN_BIN=$(abspath $(TARGET_DIR))/debug/lectern $(abspath $(TARGET_DIR))/deploy-tests/bin/python -m unittest \
		discover --start-directory tests/deploy --pattern '*_test.py'
	$(say) "Web tests"
	@cd web && npm run --silent test
	$(say) "End to end in Chromium, with the binary that the Rust tests were built with"
	@cd web && LECTERN_BIN=$(abspath $(TARGET_DIR))/debug/lectern npm run --silent test:browser

## bench-latency: glass to glass through real Chromium, and where the time goes
bench-latency: install-test web
	$(say) "Building lectern (release)"
	@$(CARGO) build --release --locked
	@cd web && LECTERN_BIN=$(abspath $(TARGET_DIR))/release/lectern npm run --silent bench:latency -- $(ARGS)

## bench-webrtc: what WebRTC viewers cost an edge on one core, and what they see (a part needs root)
bench-webrtc: install-test web
	$(say) "Building lectern and its load client (release)"
	@$(CARGO) build --release --locked -p lectern -p lectern-bench-webrtc
	@$(TARGET_DIR)/release/lectern-bench-webrtc $(ARGS)

## bench-http: what an edge serves over HTTP from one core, beside nginx, and what players see
bench-http: install-bench-http web
	$(say) "Building lectern and its load client (release)"
	@$(CARGO) build --release --locked -p lectern -p lectern-bench-http
	@$(TARGET_DIR)/release/lectern-bench-http $(ARGS)
	$(say) "Players"
	@cd web && LECTERN_BIN=$(abspath $(TARGET_DIR))/release/lectern npm run --silent bench:players

## bench-comments: how soon thousands of viewers read what is written, and what they cost an edge
bench-comments: install-test web
	$(say) "Building lectern and its load client (release)"
	@$(CARGO) build --release --locked -p lectern -p lectern-bench-comments
	@$(TARGET_DIR)/release/lectern-bench-comments $(ARGS)

## bench-relay: what a hop between origins and edges adds and costs, and what a bad path leaves of it
bench-relay: install-run
	$(say) "Building the relay's load client (release)"
	@$(CARGO) build --release --locked -p lectern-bench-relay
	@$(TARGET_DIR)/release/lectern-bench-relay $(ARGS)

## bench-faults: what viewers notice when nodes die, links break and disks fill (needs root); ARGS may name faults
bench-faults: install-test web
	$(say) "Building lectern and what breaks it (release)"
	@$(CARGO) build --release --locked -p lectern -p lectern-bench-faults
	@$(TARGET_DIR)/release/lectern-bench-faults $(ARGS)

## fuzz: each reader of a stranger's bytes for a minute (FUZZ_SECONDS); ARGS may name some
fuzz: install-fuzz web
	$(say) "Fuzzing (the first build takes some minutes)"
	@bench/fuzz/run.sh $(ARGS)

## sbom: every crate and package that the lock files name, as CycloneDX, in target/sbom.cdx.json
sbom:
	@mkdir -p $(TARGET_DIR)
	@npx --yes @cyclonedx/cdxgen@12.8.4 -t rust -t npm --no-install-deps --no-babel -o $(TARGET_DIR)/sbom.cdx.json .

## check: the quick answer while you type
check: web
	@$(CARGO) clippy --workspace --all-targets --all-features --locked

## audit: dependencies against the advisory database (fetches it)
audit:
	@$(CARGO) deny check advisories

## chart-readme: the list of the chart's values, made of what stands above each
chart-readme:
	@scripts/helm-docs.py

## web: the player and its pages, which the binary embeds
web: web-deps
	$(say) "Building the player"
	@cd web && npm run --silent build

web-deps: web/node_modules/.package-lock.json

web/node_modules/.package-lock.json: web/package-lock.json
	$(say) "Installing the player's packages"
	@cd web && npm ci --no-audit --no-fund --silent
	@touch $@

install-run:
	@scripts/install.sh run

install-test:
	@scripts/install.sh test

install-fuzz:
	@scripts/install.sh fuzz

install-bench-http:
	@scripts/install.sh bench-http

clean:
	$(CARGO) clean
	rm -rf web/dist web/node_modules
