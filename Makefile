# The few commands a person types; `make help` lists them.
MUSL_X86 := x86_64-unknown-linux-musl
MUSL_ARM := aarch64-unknown-linux-musl
MUSL_HERE := $(shell uname -m)-unknown-linux-musl
BENCH := target/$(MUSL_HERE)/release/bench

# An ADD is so short that to move the plugin to another address, as each of its starts does otherwise, is some 5 % of it.
# The others, which read what the network and people send, are moved where Rust makes such static programs: on x86_64.
define programs
	cargo build --release --locked --bin linkspan-ctl --bin linkspan-device-plugin --bin linkspan-dhcp --target $(1)
	cargo rustc --release --locked --package linkspan-cni --bin linkspan --target $(1) -- -C relocation-model=static
endef

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Boot a machine with SR-IOV NICs, give VFs to pods, and tell the story (first time: fetches it)
	cargo bed prepare
	cargo build --workspace --bins
	cargo bed run --timeout 480 -- target/debug/demo

.PHONY: test
test: sizes ## Every test: units, namespaces of this kernel, and the VM with SR-IOV NICs
	cargo bed test

# The scenarios whose names have one of these words.
ONLY ?=

.PHONY: e2e
e2e: ## A real Kubernetes node in the VM, Linkspan installed on it, and pods that use it: ONLY=ping make e2e
	$(call programs,$(MUSL_HERE))
	cargo build --package linkspan-hw-tests --bin bed --bin e2e
	target/debug/e2e $(ONLY)

.PHONY: hw-test
hw-test: ## The VM's tests on this machine's own NICs: LINKSPAN_PFS=ens1f0,ens1f1 make hw-test
	cargo build --workspace --bins
	cargo bed hardware -- cargo test --package linkspan-hw-tests --test vf --test offered

.PHONY: bench
bench: ## What ADD and DEL cost, beside the reference plugins and the kernel's own work; writes bench/
	cargo bed prepare
	$(call programs,$(MUSL_HERE))
	cargo build --release --locked --package linkspan-hw-tests --bin bench --bin floor --bin launch --target $(MUSL_HERE)
	cargo bed run --timeout 300 -- $(BENCH) --measure-vfs > target/bench-vfs
	$(BENCH) --vfs target/bench-vfs --write bench

# How long each target is searched.
SECONDS ?= 180

.PHONY: fuzz
fuzz: ## Search for configurations and data folders that break a promise: SECONDS=600 make fuzz
	fuzz/run $(SECONDS)

.PHONY: lint
lint: ## Formatting, clippy, licences and sources of dependencies
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --all-targets --locked -- -D warnings
	@command -v cargo-deny >/dev/null || cargo install cargo-deny --locked --version 0.20.2
	cargo deny --locked check bans licenses sources

.PHONY: release
release: ## Static release programs for x86_64 and aarch64
	$(call programs,$(MUSL_X86))
	$(call programs,$(MUSL_ARM))

.PHONY: sizes
sizes: release ## Check that the release programs are static and as small as promised
	cargo run --quiet --package linkspan-release --bin sizes -- target/$(MUSL_X86)/release target/$(MUSL_ARM)/release

# Where the images go, and the machines they are for.
IMAGES ?= target/images
MACHINES ?= $(MUSL_X86) $(MUSL_ARM)

.PHONY: image
image: release ## The container images, as OCI archives in target/images: REPOSITORY=registry.example/team TAG=... make image
	cargo run --quiet --package linkspan-release --bin image -- $(IMAGES) $(MACHINES:%=target/%/release)

# Where a release goes.
DIST ?= target/dist

.PHONY: dist
dist: release ## A release in target/dist: archives for both machines, bill of materials, checksums
	cargo run --quiet --package linkspan-release --bin dist -- $(DIST) $(MACHINES:%=target/%/release)
