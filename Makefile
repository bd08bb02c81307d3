# auditrail: `make demo` shows it, `make test` proves it.

CARGO   ?= cargo
BUILD   := build
TARGET  := target/release
LIBRARY := $(TARGET)/libauditrail.so
C99     := -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror
CXX17   := -std=c++17 -Wall -Wextra -Wpedantic -Werror
LINK    := -L$(BUILD) -lauditrail -Wl,-rpath,'$$ORIGIN'

.PHONY: all library demo test test-rust test-c test-conformance test-outsiders check-header lint clean

all: library

library: $(BUILD)/libauditrail.so

# Cargo knows best what is stale.
$(LIBRARY): FORCE
	$(CARGO) build --release --lib
FORCE:

# Under the name that programs look for.
$(BUILD)/libauditrail.so: $(LIBRARY)
	@mkdir -p $(BUILD)
	@cmp -s $(LIBRARY) $@ || cp $(LIBRARY) $@
	@ln -sf libauditrail.so $(BUILD)/libauditrail.so.0

# The command for operators, with its manual pages and completions.
command: $(BUILD)/auditrail

$(TARGET)/auditrail: $(LIBRARY)
	$(CARGO) build --release --features cli --bin auditrail

$(BUILD)/auditrail: $(TARGET)/auditrail
	@mkdir -p $(BUILD)
	@cmp -s $< $@ || cp $< $@
	@$@ generate $(BUILD)

$(BUILD)/record $(BUILD)/rate: $(BUILD)/%: examples/c/%.c include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -O2 -Iinclude $< -o $@ $(LINK)

demo: $(BUILD)/record $(BUILD)/rate
	@scripts/demo.sh $(BUILD)

test: lint test-rust check-header test-c test-conformance test-consumers test-outsiders \
	test-instructions
	@echo "all tests passed"

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings

test-rust:
	$(CARGO) test --all-features

# The committed header is the one that the sources make.
check-header: library
	@git diff --exit-code --stat -- include || { echo "include/ is not what the sources say: commit it"; exit 1; }

$(BUILD)/test-c: tests/c/writer.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -g -Iinclude $< -o $@ $(LINK)

$(BUILD)/test-cpp: tests/c/writer.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CXX) -x c++ $(CXX17) -g -Iinclude $< -o $@ $(LINK)

$(BUILD)/conformance: tests/c/conformance.c include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -O2 -Iinclude $< -o $@ $(LINK)

$(BUILD)/test-proof-c: tests/c/proof.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -g -Iinclude $< -o $@ $(LINK)

$(BUILD)/test-proof-cpp: tests/c/proof.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CXX) -x c++ $(CXX17) -g -Iinclude $< -o $@ $(LINK)

$(BUILD)/test-reader-c: tests/c/reader.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CC) $(C99) -g -Iinclude $< -o $@ $(LINK)

$(BUILD)/test-reader-cpp: tests/c/reader.c tests/c/check.h include/auditrail.h $(BUILD)/libauditrail.so
	$(CXX) -x c++ $(CXX17) -g -Iinclude $< -o $@ $(LINK)

# Each program runs in an empty folder, plain and under valgrind.
test-c: $(BUILD)/test-c $(BUILD)/test-reader-c $(BUILD)/test-proof-c
	@scripts/need.sh c++=g++ valgrind=valgrind
	@$(MAKE) --no-print-directory $(BUILD)/test-cpp $(BUILD)/test-reader-cpp $(BUILD)/test-proof-cpp
	@for program in test-c test-cpp test-reader-c test-reader-cpp test-proof-c test-proof-cpp; do for under in '' 'valgrind -q --leak-check=full --error-exitcode=99'; do \
		rm -rf $(BUILD)/scratch && mkdir $(BUILD)/scratch && echo "$$under $(BUILD)/$$program" && \
		$$under $(BUILD)/$$program $(BUILD)/scratch || exit 1; done; done

test-conformance: $(BUILD)/conformance
	@tests/conformance.sh $(BUILD)/conformance

# Proofs, verified by others' programs; AUDITRAIL_OUTSIDERS_MORE=1000000 for more.
test-outsiders:
	@tests/outsiders/run.sh

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

clean:
	$(CARGO) clean
	rm -rf $(BUILD)
