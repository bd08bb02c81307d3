# auditrail: `make demo` shows it, `make test` proves it.

CARGO   ?= cargo
BUILD   := build
TARGET  := target/release
LIBRARY := $(TARGET)/libauditrail.so
C99     := -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror
CXX17   := -std=c++17 -Wall -Wextra -Wpedantic -Werror
LINK    := -L$(BUILD) -lauditrail -Wl,-rpath,'$$ORIGIN'

.PHONY: all header library command demo test lint test-rust check-header test-c test-conformance \
	test-callers test-install test-consumers test-outsiders test-instructions test-power test-large model asan fuzz bench \
	deny clean FORCE

all: library command

library: header $(BUILD)/libauditrail.so

# The header, from src/ffi. Checking builds nothing but what makes it, and leaves
# the release build, which needs no cbindgen, as it is.
header: include/auditrail.h

include/auditrail.h: FORCE
	$(CARGO) check --quiet -p auditrail --lib --features header

# Cargo knows best what is stale.
$(LIBRARY): FORCE
	$(CARGO) build --release --lib

# Under the name that programs look for.
$(BUILD)/libauditrail.so: $(LIBRARY)
	@mkdir -p $(BUILD)
	@cmp -s $(LIBRARY) $@ || cp $(LIBRARY) $@
	@ln -sf libauditrail.so $(BUILD)/libauditrail.so.0

# The command for operators, with its manual pages and completions.
command: $(BUILD)/auditrail

$(TARGET)/auditrail: $(LIBRARY)
	$(CARGO) build --release --bin auditrail

$(BUILD)/auditrail: $(TARGET)/auditrail
	@mkdir -p $(BUILD)
	@cmp -s $< $@ || cp $< $@
	@$@ generate $(BUILD)

$(BUILD)/record $(BUILD)/rate: $(BUILD)/%: examples/demo/%.c include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -O2 -Iinclude $< -o $@ $(LINK)

demo: $(BUILD)/record $(BUILD)/rate
	@examples/demo/demo.sh $(BUILD)

# Each part can be run alone.
test: lint test-rust check-header test-c test-conformance test-callers test-install \
	test-consumers test-outsiders test-instructions
	@echo "all tests passed"

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

test-rust:
	$(CARGO) test --workspace --all-features

# The commit protocol under a model checker, which schedules the threads in
# every way that it can think of. Not part of `test`: it builds all anew.
model:
	RUSTFLAGS="--cfg auditrail_model" $(CARGO) test --target-dir target/model \
		-p auditrail --features internals,model --test model

# Losses of power on the file systems of the kernel, for as long as it takes; root
# only. A short run is part of test-rust.
POWER_LOSSES   ?= 4000
SEED           ?= 1
FAILING_WRITES ?= 1
test-power:
	AUDITRAIL_POWER_LOSSES=$(POWER_LOSSES) AUDITRAIL_SEED=$(SEED) \
		AUDITRAIL_FAILING_WRITES=$(FAILING_WRITES) $(CARGO) test -p auditrail \
		--features internals --test disk_power_loss -- --nocapture

# A trail of 100,000 streams, and what each step takes. A smaller one is part of
# test-rust.
STREAMS ?= 100000
test-large:
	AUDITRAIL_STREAMS=$(STREAMS) $(CARGO) test -p auditrail --test large -- --nocapture

# The C and C++ programs under AddressSanitizer, and the library with them; needs a
# nightly toolchain. Not part of `test`.
asan:
	@CARGO="$(CARGO)" tests/asan.sh target/asan

# Each fuzz target for a while; needs a nightly toolchain and cargo-fuzz. Not part
# of `test`.
fuzz:
	@for target in append recover journal buffer read; do mkdir -p fuzz/corpus/$$target && \
		$(CARGO) +nightly fuzz run -s none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
		-dict=fuzz/json.dict -max_len=2000 -timeout=10 -max_total_time=75 || exit 1; done

# The committed header is the one that the sources make.
check-header: header
	@git diff --exit-code --stat -- include || { echo "include/ is not what the sources say: commit it"; exit 1; }

$(BUILD)/test-c-%: tests/c/%.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -g -Iinclude $< -o $@ $(LINK)

$(BUILD)/test-cpp-%: tests/c/%.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CXX) -x c++ $(CXX17) -g -Iinclude $< -o $@ $(LINK)

$(BUILD)/conformance: tests/c/conformance.c include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -O2 -Iinclude $< -o $@ $(LINK)

C_TESTS := $(filter-out conformance,$(patsubst tests/c/%.c,%,$(wildcard tests/c/*.c)))

# Each program, as C and as C++, runs in an empty folder, plain and under valgrind.
test-c: $(C_TESTS:%=$(BUILD)/test-c-%)
	@scripts/need.sh c++=g++ valgrind=valgrind
	@$(MAKE) --no-print-directory $(C_TESTS:%=$(BUILD)/test-cpp-%)
	@for program in $(C_TESTS:%=test-c-%) $(C_TESTS:%=test-cpp-%); do \
		for under in '' 'valgrind -q --leak-check=full --error-exitcode=99'; do \
			rm -rf $(BUILD)/scratch && mkdir $(BUILD)/scratch && echo "$$under $(BUILD)/$$program" && \
			$$under $(BUILD)/$$program $(BUILD)/scratch || exit 1; done; done

# The trees that corpora of events must give, to the byte.
test-conformance: $(BUILD)/conformance
	@tests/conformance.sh $(BUILD)/conformance

# C, C++, Rust, Go, Python, Lua, Ruby, Node, PHP and Java: each writes the same
# bytes and tells the same story.
test-callers: library
	@AUDITRAIL_LIB_DIR=$(BUILD) tests/callers/run.sh

# A staged installation, projects that use it, and the recorded ABI.
test-install: library command
	@tests/install/run.sh

# jq, DuckDB, rsyslog, lnav: the recipes of docs/consumers.md, run.
test-consumers: $(BUILD)/auditrail
	@tests/consumers/run.sh $(BUILD)/auditrail

# Go's and Python's own libraries must accept our proofs.
test-outsiders:
	@AUDITRAIL_CARGO_FLAGS=--all-features sh tests/outsiders/run.sh

# The append path must not become dearer, by instructions, which no other load
# on the machine changes.
test-instructions: library
	@sh benches/instructions.sh

# Side by side with other projects and the bare limits; AUDITRAIL_BENCH=full
# for the long run.
bench:
	@sh benches/run.sh

# Licences, sources and duplicates of the crates that are built on; deny.toml.
# Not part of `test`: cargo-deny is a tool of its own.
deny:
	@scripts/deny.sh

clean:
	$(CARGO) clean
	rm -rf $(BUILD)

# make install PREFIX=… DESTDIR=…; make uninstall
include install.mk
