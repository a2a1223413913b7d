# Entry points for developers and visitors. The work is done by cargo and scripts/; this file has the dependencies.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# The checks of `make test` run in the listed order and stop at the first failure.
.NOTPARALLEL:

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check

ifdef CLIP
DEMO_CLIP := given-clip
else
CLIP := demo/source.mp4
DEMO_CLIP := $(CLIP)
endif
# Passed through the environment, so that names may contain any characters.
export CLIP DATA

# Of `make fuzz`: minutes for each target.
MINUTES := 1

# Of `make differential`: how many files, and where chance begins.
MUTATIONS := 20000
SEED := 1

# Options of `make power-loss`: names of scenarios, --states N.
POWER :=

# Options of `make parity`; its own virtual environment keeps diffusers out of the other one.
PARITY :=
PARITY_VENV := target/parity/venv

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make demo CLIP=my.mp4   the demo with your own video"
	@echo "  make bench BENCH=...    its options; scripts/bench/run.py --help lists them"
	@echo "  make parity PARITY=...  its options; scripts/parity/run.py --help lists them"

# --- Use ---

.PHONY: build
build: setup-system ## Build target/release/latentbit
	cargo build --release --locked -p latentbit

# Where `make install` puts things; DESTDIR comes in front of it, for those who make packages.
PREFIX ?= /usr/local
DESTDIR ?=

# Whoever runs `sudo make install` has built it as themselves.
.PHONY: install
install: $(if $(SUDO_USER),,build) ## Install the command, man pages and completions: make install PREFIX=~/.local
	PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/package/install.sh install "$${CARGO_TARGET_DIR:-target}/release/latentbit"

.PHONY: uninstall
uninstall: ## Take away what `make install` with the same PREFIX installed
	PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/package/install.sh uninstall

.PHONY: static
static: setup-rust ## Build a command without libav that needs no library at all
	scripts/package/static.sh

.PHONY: cli-docs
cli-docs: setup-system ## Make docs/cli.md anew from the definitions of the options
	LATENTBIT_WRITE_DOCS=1 cargo test --quiet --locked -p latentbit --test e2e the_page_of_all_options

.PHONY: wheel
wheel: setup-rust $(VENV)/.python-packages ## Build the Python package into target/wheels, with a command that needs no libav
	rm -f target/wheels/latentbit-*.whl
	$(PYTHON) -m maturin build --release --locked -m python/Cargo.toml --out target/wheels
	cargo build --release --locked -p latentbit --no-default-features
	$(PYTHON) scripts/package/add_command.py target/wheels/latentbit-*.whl target/release/latentbit

.PHONY: demo-plan
demo-plan:
	@echo "demo: installs what is missing, builds the command (minutes, the first time), then encodes, decodes and measures a clip"

.PHONY: demo
demo: demo-plan setup-system $(PYTHON) $(DEMO_CLIP) build ## Encode, decode and measure a clip; results in demo/
	scripts/demo/run.sh "$$CLIP"

.PHONY: given-clip
given-clip:
	@[[ -f $$CLIP ]] || { echo "demo: no such file: $$CLIP" >&2; exit 1; }

demo/source.mp4: scripts/demo/make_clip.py $(VENV)/.demo-packages
	$(PYTHON) $< $@

.PHONY: web-reader
web-reader: setup-rust setup-web ## Build the npm package in web/reader
	scripts/web/reader.sh

.PHONY: web
web: web-reader $(VENV)/.training-packages ## Build the player page into web/player/dist
	PYTHON=$(PYTHON) scripts/web/player.sh

.PHONY: gst
gst: setup-gst ## Build the GStreamer elements: target/release/libgstlatentbit.so
	cargo build --release --locked --manifest-path gst/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}"

.PHONY: clean-demo
clean-demo: ## Remove the demo's files
	rm -f demo/{source,clip,depths}.mp4 demo/{clip,small}.lbit demo/{encode,decode,eval}.json demo/side-by-side.png
	if [[ -d demo ]]; then rmdir --ignore-fail-on-non-empty demo; fi

# --- Measure ---

.PHONY: bench
bench: setup-system $(VENV)/.training-packages ## Compare the speed with PyTorch: 20 minutes, on an idle machine
	$(PYTHON) scripts/bench/run.py $(BENCH)

.PHONY: report
report: build $(VENV)/.training-packages $(VENV)/.report-packages $(VENV)/.demo-packages ## Compare quality with other codecs: make report DATA=folder; an hour
	@[[ -n $$DATA ]] || { echo "report: set DATA to a folder with images/ and videos/" >&2; exit 1; }
	$(PYTHON) scripts/quality/measure.py "$$DATA" quality --dtype f32
	$(PYTHON) scripts/quality/bit_use.py "$$DATA"
	$(PYTHON) scripts/quality/borders.py "$$DATA"
	$(PYTHON) scripts/quality/rate_distortion.py "$$DATA" --out runs/report --clip-sizes 128
	$(PYTHON) scripts/quality/plot.py runs/report/points.json --out docs
	$(PYTHON) scripts/quality/side_by_side.py --out docs/crops.png

.PHONY: report-conceal
report-conceal: build $(VENV)/.training-packages $(VENV)/.report-packages $(VENV)/.demo-packages ## Measure the concealment of lost chunks: make report-conceal DATA=folder; an hour
	@[[ -n $$DATA ]] || { echo "report-conceal: set DATA to a folder with videos/" >&2; exit 1; }
	$(PYTHON) scripts/conceal/measure.py "$$DATA" --out runs/conceal
	$(PYTHON) scripts/conceal/strips.py --out docs/concealed.png

.PHONY: bench-wan
bench-wan: setup-system $(PARITY_VENV)/.packages ## Compare the speed of the official VAE with that of diffusers: an hour, on an idle machine
	PYTHONPATH=training $(PARITY_VENV)/bin/python scripts/bench/run.py --wan $(BENCH)

.PHONY: parity
parity: build $(PARITY_VENV)/.packages ## Compare the VAE with that of diffusers at the official sizes, with random weights
	PYTHONPATH=training $(PARITY_VENV)/bin/python scripts/parity/run.py $(PARITY)

.PHONY: bench-archive
bench-archive: build wheel $(VENV)/.training-packages ## Compare archiving with PyTorch, and reading tokens with npz, npy, Parquet and WebDataset: 5 minutes, on an idle machine
	$(PIP_INSTALL) --force-reinstall --no-deps target/wheels/latentbit-*.whl
	PYTHONPATH=training:scripts/bench $(PYTHON) python/bench/measure.py $(BENCH)

# --- Check ---

.PHONY: test
test: setup check-fmt lint-rust lint-shell check-workflows docs test-rust check-targets check-fuzz check-capi-header check-deps lint-python test-scripts test-training test-python test-web-if-possible ## Run all checks and tests

.PHONY: torture
torture: setup-system ## Damage the conformance files in every byte and bit
	LATENTBIT_TORTURE=1 cargo test --release --locked -p latentbit-container --test conformance damage_matrix -- --nocapture

.PHONY: archive-kills
archive-kills: setup-system ## Kill archive runs at 50 random moments for each format, and compare
	LATENTBIT_KILLS=50 cargo test --release --locked -p latentbit --test e2e killed -- --nocapture

.PHONY: power-loss
power-loss: setup-system ## Cut the power, in a simulation, at every moment of what commands do to files; needs strace
	cargo build --quiet --locked -p latentbit
	python3 scripts/torture/power_loss.py target/debug/latentbit $(POWER)

.PHONY: differential
differential: $(VENV)/.training-packages ## Compare both readers on mutated files: MUTATIONS=20000 SEED=1
	cargo build --quiet --locked -p latentbit-container --example verdicts
	cd spec/reader && LATENTBIT_VERDICTS=$(CURDIR)/target/debug/examples/verdicts LATENTBIT_MUTATIONS=$(MUTATIONS) \
		LATENTBIT_SEED=$(SEED) ../../$(PYTHON) -m pytest -q tests/test_differential.py

.PHONY: conformance
conformance: setup-system ## Rewrite the files of testdata/conformance
	LATENTBIT_WRITE_CONFORMANCE=1 cargo test --locked -p latentbit-container --test conformance files_are

.PHONY: public-api
public-api: setup-rust ## Compare the public items of the library crates with CRATE/public-api.txt
	scripts/setup/cargo-public-api.sh
	scripts/api/public-api.sh

.PHONY: package
package: setup-system ## Package the crates, and install the command from the packages: some 15 minutes
	scripts/package/check.sh $(PACKAGE)

.PHONY: deb
deb: build ## Make a Debian package in target/debian; needs cargo-deb
	scripts/package/deb.sh

# Workspaces of their own, which nobody needs who builds the command.
APART := fuzz web/reader capi/header gst

.PHONY: fmt
fmt: setup-rust ## Format the Rust code
	cargo fmt --all
	for folder in $(APART); do cargo fmt --all --manifest-path $$folder/Cargo.toml || exit; done

.PHONY: check-fmt
check-fmt: setup-rust ## Check the format of the Rust code
	cargo fmt --all --check
	for folder in $(APART); do cargo fmt --all --manifest-path $$folder/Cargo.toml --check || exit; done

.PHONY: lint
lint: lint-rust lint-python lint-shell ## Run clippy, ruff, mypy and shellcheck

.PHONY: lint-rust
lint-rust: setup-system
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p latentbit --no-default-features --all-targets --locked -- -D warnings
	cargo clippy --workspace --all-targets --features latentbit/cuda --locked -- -D warnings

.PHONY: lint-python
lint-python: $(VENV)/.training-packages $(VENV)/.report-packages $(VENV)/.python-packages
	$(PYTHON) -m ruff check scripts training spec
	$(PYTHON) -m mypy --strict scripts/demo
	MYPYPATH=training:scripts/bench $(PYTHON) -m mypy --config-file training/pyproject.toml scripts/bench
	MYPYPATH=training:scripts/bench:scripts/gpu $(PYTHON) -m mypy --config-file training/pyproject.toml scripts/gpu
	MYPYPATH=scripts/bench:scripts/demo:scripts/quality $(PYTHON) -m mypy --config-file training/pyproject.toml scripts/quality
	MYPYPATH=scripts/conceal:scripts/demo:scripts/quality $(PYTHON) -m mypy --config-file training/pyproject.toml scripts/conceal
	MYPYPATH=training:python:scripts/parity $(PYTHON) -m mypy --config-file training/pyproject.toml scripts/parity
	cd training && ../$(PYTHON) -m mypy
	cd spec/reader && ../../$(PYTHON) -m mypy --strict .
	cd python && ../$(PYTHON) -m ruff check . && ../$(PYTHON) -m mypy

.PHONY: lint-shell
lint-shell: setup-shellcheck
	shellcheck -x .ci/run scripts/*/*.sh scripts/gpu/bundle scripts/gpu/train scripts/gpu/verify

.PHONY: check-workflows
check-workflows: $(VENV)/.package-packages ## Check the files of hosted CI and of issue forms
	scripts/setup/workflows.sh $(PYTHON)

.PHONY: docs
docs: setup-system ## Build the API documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

.PHONY: test-rust
test-rust: setup-system ## Run the unit, golden and end-to-end tests
	cargo test --workspace --locked

.PHONY: check-targets
check-targets: setup-rust ## Check that the container compiles for the web and for big-endian machines
	scripts/setup/targets.sh wasm32-unknown-unknown s390x-unknown-linux-gnu powerpc64-unknown-linux-gnu

.PHONY: fuzz
fuzz: setup-system ## Run each fuzz target for a minute, or as long as MINUTES says
	scripts/fuzz/run.sh $$((60 * $(MINUTES)))

.PHONY: check-fuzz
check-fuzz: setup-system ## Check that the fuzz targets compile
	RUSTFLAGS="--cfg fuzzing" cargo check --manifest-path fuzz/Cargo.toml --locked

.PHONY: capi-header
capi-header: setup-rust ## Make the header of the library for C anew
	cargo run --quiet --locked --manifest-path capi/header/Cargo.toml -- --write

.PHONY: check-capi-header
check-capi-header: setup-rust ## Check that the header of the library for C is that of its sources
	cargo run --quiet --locked --manifest-path capi/header/Cargo.toml

# deny.toml is for all workspaces, and none of them has every crate that it names.
DENY_ALLOW := -A license-exception-not-encountered -A unused-wrapper

.PHONY: check-deps
check-deps: setup-deny ## Check licences and sources of the dependencies
	cargo deny --all-features --locked check $(DENY_ALLOW) licenses bans sources
	for folder in $(APART); do \
		cargo deny --manifest-path $$folder/Cargo.toml --config deny.toml --all-features --locked \
			check $(DENY_ALLOW) -A license-not-encountered licenses bans sources || exit; \
	done

.PHONY: test-scripts
test-scripts: $(VENV)/.training-packages ## Run the tests of the measuring scripts and of the second reader
	cd scripts && ../$(PYTHON) -m pytest -q
	cargo build --quiet --locked -p latentbit-container --example verdicts
	cd spec/reader && LATENTBIT_VERDICTS=$(CURDIR)/target/debug/examples/verdicts ../../$(PYTHON) -m pytest -q

.PHONY: test-training
test-training: $(VENV)/.training-packages ## Run the tests of the training recipe
	cd training && ../$(PYTHON) -m pytest -q

# The wheel as users get it, but in the profile that `test-rust` has already mostly built; and the command, because
# some of the tests read its files.
.PHONY: test-python
test-python: setup-system $(VENV)/.training-packages $(VENV)/.python-packages ## Build and install the Python package, and run its tests
	cargo build --quiet --workspace --locked
	rm -f target/wheels/test/latentbit-*.whl
	$(PYTHON) -m maturin build --quiet --locked --auditwheel skip -m python/Cargo.toml --out target/wheels/test
	$(PYTHON) scripts/package/add_command.py target/wheels/test/latentbit-*.whl target/debug/latentbit
	$(PIP_INSTALL) --force-reinstall --no-deps target/wheels/test/latentbit-*.whl
	# Not in python/, where the sources would hide the module that is installed.
	$(PYTHON) -m mypy.stubtest --mypy-config-file python/pyproject.toml latentbit._latentbit
	$(PYTHON) -m pytest -q python/tests

.PHONY: test-web
test-web: setup-web $(VENV)/.training-packages ## Build the reader and the page, and test them in Node and in Chromium
	cargo build --quiet -p latentbit --locked
	PYTHON=$(PYTHON) scripts/web/test.sh

# The command is there from `test-python`.
.PHONY: test-web-if-possible
test-web-if-possible: $(VENV)/.training-packages
	PYTHON=$(PYTHON) scripts/web/test.sh --if-possible

.PHONY: test-gst
test-gst: setup-system setup-gst ## Test the GStreamer elements
	cargo build --quiet --locked -p latentbit
	scripts/gst/test.sh

# --- Set up ---

.PHONY: setup
setup: setup-system setup-rust setup-deny setup-shellcheck setup-packaging $(VENV)/.training-packages $(VENV)/.report-packages $(VENV)/.python-packages ## Install what is missing

.PHONY: setup-system
setup-system: setup-rust
	@scripts/setup/system.sh

.PHONY: setup-rust
setup-rust:
	@scripts/setup/rust.sh

.PHONY: setup-web
setup-web: ## Install Node's packages for web/, and Chromium for their tests
	@scripts/setup/web.sh

.PHONY: setup-gst
setup-gst: setup-rust
	@scripts/setup/gst.sh

.PHONY: setup-deny
setup-deny: setup-rust
	@scripts/setup/cargo-deny.sh

.PHONY: setup-shellcheck
setup-shellcheck:
	@scripts/setup/shellcheck.sh

.PHONY: setup-packaging
setup-packaging:
	@scripts/setup/packaging.sh

$(PYTHON):
	scripts/setup/venv.sh

# Order-only: a virtual environment older than the list of packages need not be rebuilt.
$(VENV)/.demo-packages: scripts/demo/requirements.txt | $(PYTHON)
	$(PIP_INSTALL) --no-deps -r $<
	touch $@

$(VENV)/.report-packages: scripts/quality/requirements.txt | $(PYTHON)
	$(PIP_INSTALL) -r $<
	touch $@

$(VENV)/.package-packages: scripts/package/requirements.txt | $(PYTHON)
	$(PIP_INSTALL) -r $<
	touch $@

$(VENV)/.python-packages: python/requirements.txt | $(PYTHON)
	$(PIP_INSTALL) -r $<
	touch $@

# With the command latentbit-train, which runs the code of this checkout.
$(VENV)/.training-packages: training/requirements.txt training/pyproject.toml | $(PYTHON)
	$(PIP_INSTALL) -r $<
	$(PIP_INSTALL) --no-build-isolation --no-deps --editable training
	touch $@

$(PARITY_VENV)/.packages: scripts/parity/requirements.txt scripts/parity/venv.sh | $(VENV)/.training-packages
	scripts/parity/venv.sh
	touch $@
