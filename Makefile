# alloctrace: build, test, demo, install. `make help` lists the targets.

VERSION  := 0.1.0
BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= gcc
CLANG    ?= clang
BPFTOOL  ?= bpftool
PYTHON   ?= /usr/bin/python3
PROTOC   ?= protoc
PKGS     := libbpf libelf libdw zlib libcjson ncursesw libprotobuf-c

MANDIR   := $(PREFIX)/share/man/man8
COMPDIR  := $(PREFIX)/share/bash-completion/completions

CFLAGS   ?= -O2 -g
# SANITIZE=1 builds everything with ASan and UBSan.
ifdef SANITIZE
SAN := -fsanitize=address,undefined -fno-omit-frame-pointer
endif
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DALLOCTRACE_VERSION='"$(VERSION)"' $(WARN) $(CFLAGS) \
	-Iuser -I$(BUILD)/gen -MMD -MP $(shell pkg-config --cflags $(PKGS)) $(SAN)
LDLIBS   := $(shell pkg-config --libs $(PKGS)) -lZydis -liberty -lpthread -lm

# Kernel side: one object a family of probes, linked into one skeleton.
BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
BPF_SRC  := $(wildcard bpf/*.bpf.c)
BPF_OBJ  := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
SKEL     := $(BUILD)/gen/alloctrace.skel.h

# Messages of other programs' formats, as C.
PROTO_SRC := $(wildcard user/report/*.proto)
PROTO_C  := $(PROTO_SRC:user/report/%.proto=$(BUILD)/gen/%.pb-c.c)
PROTO_H  := $(PROTO_C:.c=.h)

# User side: every room but main.c is a library that the program and the tests link.
LIB_SRC  := $(wildcard user/*/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o) $(PROTO_C:.c=.o)
LIB      := $(BUILD)/liballoctrace.a
PROGRAM  := $(BUILD)/alloctrace

UNIT_SRC := $(wildcard tests/unit/*_test.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)
WORK_SRC := $(wildcard tests/workload/*.c) $(wildcard tests/workload/*.cc)
WORK_BIN := $(patsubst tests/workload/%,$(BUILD)/tests/workload/%,$(basename $(WORK_SRC)))
BENCH_SRC := $(filter-out %.bpf.c,$(wildcard tests/bench/*.c))
BENCH_BIN := $(BENCH_SRC:%.c=$(BUILD)/%)

.DELETE_ON_ERROR:
.SECONDARY: $(PROTO_C)
.PHONY: all help test unit e2e test-kernels bench fuzz demo picture deps install uninstall clean lint workloads FORCE

all: $(PROGRAM)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) $(wildcard vmlinux/*.h)
	@mkdir -p $(@D)
	$(CLANG) -g -O2 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) $(WARN) -Wno-missing-prototypes -Ivmlinux -Ibpf -c $< -o $@

$(BUILD)/bpf/alloctrace.bpf.o: $(BPF_OBJ)
	$(BPFTOOL) gen object $@ $^

$(SKEL): $(BUILD)/bpf/alloctrace.bpf.o
	@mkdir -p $(@D)
	{ echo '/* NOLINTBEGIN: generated */'; $(BPFTOOL) gen skeleton $< name alloctrace_bpf; echo '/* NOLINTEND */'; } > $@

$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h &: user/report/%.proto
	@mkdir -p $(@D)
	$(PROTOC) --proto_path=$(<D) --c_out=$(BUILD)/gen $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/%.o: %.c | $(SKEL) $(PROTO_H)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

# The page of --html, of its sources and of what npm has for it. Without npm it is empty, and the next build looks again.
PAGE     := $(BUILD)/gen/page.html
$(PAGE): $(foreach kind,html css js mjs json,$(wildcard user/report/page/*.$(kind))) tools/bundle-page $(if $(shell test -s $(PAGE) || echo none),FORCE)
	@mkdir -p $(@D)
	@tools/bundle-page user/report/page $(BUILD)/page $@
$(BUILD)/user/report/page_file.o: $(PAGE)
FORCE:

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(PROGRAM): $(BUILD)/user/main.o $(LIB)
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LDFLAGS) $(LDLIBS)

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests/unit $< -o $@ $(LIB) $(LDFLAGS) $(LDLIBS) -lcmocka

# A workload that needs other flags has a line of its own here.
$(BUILD)/tests/workload/purge_places: WORK_FLAGS := -rdynamic
$(BUILD)/tests/workload/%: tests/workload/%.c $(wildcard tests/workload/*.h)
	@mkdir -p $(@D)
	$(CC) -O1 -g -Wall -Wextra -D_GNU_SOURCE -fno-builtin $(WORK_FLAGS) $< -o $@ -lpthread -ldl
$(BUILD)/tests/workload/%: tests/workload/%.cc
	@mkdir -p $(@D)
	$(CXX) -O1 -g -Wall -Wextra $< -o $@ -lpthread -ldl

STACK_TRUTH := $(BUILD)/tests/stack/unwind_truth $(BUILD)/tests/stack/python_truth
workloads: $(WORK_BIN) $(STACK_TRUTH) $(BUILD)/tests/bench/page

# Our stacks beside libdwfl's, and Python frames beside sys._getframe's: the kernel side's own
# object files, and one program more.
$(BUILD)/tests/stack/%.bpf.o: tests/stack/%.bpf.c $(wildcard tests/stack/*.h) $(wildcard bpf/*.h) $(wildcard vmlinux/*.h)
	@mkdir -p $(@D)
	$(CLANG) -g -O2 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) $(WARN) -Wno-missing-prototypes -Ivmlinux -Ibpf -c $< -o $@

STACK_OBJ := $(addprefix $(BUILD)/bpf/,calls.bpf.o events.bpf.o frames.bpf.o python.bpf.o)
$(STACK_TRUTH:$(BUILD)/tests/stack/%=$(BUILD)/gen/%.skel.h): $(BUILD)/gen/%.skel.h: $(STACK_OBJ) $(BUILD)/tests/stack/%.bpf.o
	@mkdir -p $(@D)
	$(BPFTOOL) gen object $(@:.h=.o) $^
	{ echo '/* NOLINTBEGIN: generated */'; $(BPFTOOL) gen skeleton $(@:.h=.o) name $*_bpf; echo '/* NOLINTEND */'; } > $@

$(STACK_TRUTH): $(BUILD)/tests/stack/%: tests/stack/%.c $(BUILD)/gen/%.skel.h $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I$(BUILD) -Ibpf -Itests/stack $< -o $@ $(LIB) $(LDFLAGS) $(LDLIBS)

# What benchmarks run beside the program, with BPF programs of their own where NAME.bpf.c is.
$(BUILD)/tests/bench/%.bpf.o: tests/bench/%.bpf.c $(wildcard vmlinux/*.h)
	@mkdir -p $(@D)
	$(CLANG) -g -O2 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) $(WARN) -Wno-missing-prototypes -Ivmlinux -c $< -o $@

$(BUILD)/gen/%.skel.h: $(BUILD)/tests/bench/%.bpf.o
	@mkdir -p $(@D)
	$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BUILD)/tests/bench/shapes: $(BUILD)/gen/shapes.skel.h
$(BUILD)/tests/bench/%: tests/bench/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $< -o $@ $(LIB) $(LDFLAGS) $(LDLIBS)

test: deps ## unit and end-to-end tests (as root)
	@tools/run-tests $(BUILD)

unit: $(UNIT_BIN) ## unit tests only
	@set -e; for t in $(UNIT_BIN); do $$t; done

e2e: $(PROGRAM) workloads ## end-to-end tests only (as root)
	$(PYTHON) -m pytest -q tests/e2e --build $(BUILD)

KERNEL_UNITS := $(addprefix $(BUILD)/tests/unit/,remote_call_test wait_call_test)
test-kernels: $(PROGRAM) workloads $(KERNEL_UNITS) ## the program on other kernels, under QEMU; KERNELS="bookworm sid ./bzImage"
	@tools/boot-kernel $(BUILD) $(KERNELS)

bench: $(PROGRAM) workloads $(BENCH_BIN) ## measured ratios against peers (as root)
	@tools/bench $(BUILD)

demo: ## a worker that hoards memory, watched; PID=… watches that process instead (as root)
	@tools/install-deps demo
	@$(MAKE) --no-print-directory $(PROGRAM) && tools/demo $(PROGRAM) $(PID)

picture: $(PROGRAM) ## the README's picture of a page, from the demo's worker (as root, with chromium)
	tools/picture $(PROGRAM) user/report/page/page.webp

deps: ## install the Debian packages that building and testing need (as root)
	@tools/install-deps

fuzz: ## fuzz the parsers and the heap walker for a minute each
	@tools/fuzz $(BUILD)

lint: $(SKEL) $(PROTO_H) ## clang-tidy over the user side
	clang-tidy --quiet $(LIB_SRC) user/main.c -- -std=gnu11 -D_GNU_SOURCE -DALLOCTRACE_VERSION='""' -Iuser -isystem $(BUILD)/gen

install: $(PROGRAM) ## program, man page, completion; PREFIX=/usr/local, DESTDIR=
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/alloctrace
	install -D -m 644 user/command/alloctrace.8 $(DESTDIR)$(MANDIR)/alloctrace.8
	install -D -m 644 user/command/alloctrace.bash $(DESTDIR)$(COMPDIR)/alloctrace

uninstall: ## removes what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/alloctrace $(DESTDIR)$(MANDIR)/alloctrace.8 $(DESTDIR)$(COMPDIR)/alloctrace

clean: ## removes the build folder
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
