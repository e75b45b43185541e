# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# make            build .output/socktrace
# make deps       install the Debian packages that building and testing need, where missing
# make install    DESTDIR= PREFIX=/usr/local; SETCAP=1: every user may trace
# make check      all tests (does its own deps)
# make demo       the main job, on a real server (does its own deps)
# make artifacts  results/: the workloads, measured (does its own deps)
# make help       every target

OUT    ?= .output
# make SANITIZE=1: user space with AddressSanitizer and UndefinedBehaviorSanitizer
ifeq ($(SANITIZE),1)
override OUT := $(OUT)/sanitize
endif
# make MUTATE=ID: OUT/mutate-ID, with programs that count wrongly (bpf/mutations.def), to try the
# audits. Uses the objects of an ordinary build in OUT, and is never installed.
MUTATIONS := $(shell sed -n 's/^MUTATION.\([A-Z_]*\),.*/\1/p' bpf/mutations.def)
ifneq ($(MUTATE),)
ifeq ($(filter $(MUTATE),$(MUTATIONS)),)
$(error MUTATE=$(MUTATE): not one of $(MUTATIONS))
endif
PLAIN_OUT := $(OUT)
override OUT := $(OUT)/mutate-$(MUTATE)
endif
PREFIX ?= /usr/local
CC     ?= gcc
CLANG  ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

VERSION := 0.1.0$(if $(MUTATE),-mutated-$(MUTATE))
COMMIT  := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

ARCH := $(shell uname -m | sed 's/aarch64/arm64/; s/x86_64/x86/')

ifneq ($(V),1)
Q := @
msg = @printf '  %-8s %s\n' '$(1)' '$(2)';
endif

# --- what is built -------------------------------------------------------------------------------

BPF_SRCS  := $(wildcard bpf/*.bpf.c)
BPF_OBJS  := $(BPF_SRCS:%.bpf.c=$(OUT)/%.bpf.o)
SKEL      := $(OUT)/skel/socktrace.skel.h
# base, model, report and workload need neither libbpf nor privileges: the unit tests link these alone.
PURE_SRCS := $(wildcard user/base/*.c user/model/*.c user/report/*.c user/workload/*.c)
KERN_SRCS := $(wildcard user/kernel/*.c user/capture/*.c user/cmd/*.c user/main.c)
PURE_OBJS := $(PURE_SRCS:%.c=$(OUT)/%.o)
KERN_OBJS := $(KERN_SRCS:%.c=$(OUT)/%.o)

# A mutated build makes only what holds the programs, and what says so.
ifneq ($(MUTATE),)
OWN_OBJS  := $(filter $(OUT)/user/kernel/%.o $(OUT)/user/base/version.o,$(PURE_OBJS) $(KERN_OBJS))
PURE_OBJS := $(patsubst $(OUT)/%,$(PLAIN_OUT)/%,$(filter-out $(OWN_OBJS),$(PURE_OBJS)))
KERN_OBJS := $(patsubst $(OUT)/%,$(PLAIN_OUT)/%,$(filter-out $(OWN_OBJS),$(KERN_OBJS))) $(OWN_OBJS)

$(filter $(PLAIN_OUT)/user/%,$(filter-out $(OWN_OBJS),$(PURE_OBJS) $(KERN_OBJS))): plain ;
.PHONY: plain
plain:
	+$(Q)$(MAKE) --no-print-directory MUTATE= OUT=$(PLAIN_OUT) all
endif

UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(OUT)/tests/unit/%)

WARN    := -Wall -Wextra -Werror
CFLAGS  ?= -O2 -g
CPPFLAGS_ALL := -D_GNU_SOURCE -Iinclude -Iuser -I$(OUT)/skel $(CPPFLAGS)
CFLAGS_ALL   := -std=gnu11 $(WARN) $(CFLAGS)
LIBS_PURE := -lsmartcols -ljson-c -lseccomp -lcap-ng
LIBS      := -lbpf -lelf -lz $(LIBS_PURE)

ifeq ($(SANITIZE),1)
CFLAGS_ALL += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS    += -fsanitize=address,undefined
endif

.DEFAULT_GOAL := all

.PHONY: help
help:
	@echo 'make                      build $(OUT)/socktrace'
	@echo 'make deps                 install the Debian packages that are missing'
	@echo 'make demo                 run-workload gateway: load, trace and report (root)'
	@echo 'make artifacts            results/: reports of the workloads; WORKLOADS="gateway feed" (root)'
	@echo 'make check                all tests (root)'
	@echo 'make check-unit           unit tests alone'
	@echo 'make check-fuzz           readers, parsers and escapers on mutated input [FUZZ_SECONDS=10 each]'
	@echo 'make check-kernels        on Debian kernels 5.10 to 7.2 under emulation, and on this one (root)'
	@echo 'make check-cross          built for AArch64, and what of it runs under emulation'
	@echo 'make install DESTDIR= PREFIX=/usr/local'
	@echo 'make bench                what tracing costs, by every tool: results/overhead.*, docs/OVERHEAD.md (root)'
	@echo 'make bench-syscall        what tracing costs one call, against empty programs (root)'
	@echo 'make bench-socket         what it costs programs that use sockets, the same way (root)'
	@echo 'make bench-redis          what it costs a redis-server (root)'
	@echo 'make bench-workload       the workloads beside redis-server, socat, haproxy and iperf3'
	@echo 'make MUTATE=ID            BPF programs that leave out one event in a thousand: $(OUT)/mutate-ID'
	@echo 'make clean'
	@echo 'SANITIZE=1 builds with ASan and UBSan, V=1 shows commands, CC=clang works too'

.PHONY: all
all: $(OUT)/socktrace

$(OUT)/socktrace: $(PURE_OBJS) $(KERN_OBJS)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) $^ $(LIBS) -o $@

$(OUT)/%.o: %.c | $(SKEL)
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

# The version is compiled into one file, rebuilt when the version or commit changes.
$(OUT)/version.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' > $@
$(OUT)/user/base/version.o: CPPFLAGS_ALL += -DSOCKTRACE_VERSION='"$(VERSION)"' -DSOCKTRACE_COMMIT='"$(COMMIT)"'
$(OUT)/user/base/version.o: $(OUT)/version.stamp
FORCE:

# --- BPF -----------------------------------------------------------------------------------------

# What a mutated build is made with stands in a file, so that no other takes its objects for its own.
$(OUT)/mutate.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(MUTATE)' | cmp -s - $@ || echo '$(MUTATE)' > $@

BPF_CFLAGS := $(if $(MUTATE),-DMUTATE=MUTATION_$(MUTATE)) -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -std=gnu11 $(WARN) -Wno-unused-parameter -Iinclude -Ivmlinux -Ibpf

$(OUT)/%.bpf.o: %.bpf.c $(OUT)/mutate.stamp
	$(call msg,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(OUT)/socktrace.bpf.o: $(BPF_OBJS)
	$(call msg,BPFLINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKEL): $(OUT)/socktrace.bpf.o
	$(call msg,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name socktrace_bpf > $@.tmp
	$(Q)mv $@.tmp $@

# --- packages ------------------------------------------------------------------------------------

# The one list. README.md says what each is for.
BUILD_PACKAGES := gcc libc6-dev make clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev \
	libsmartcols-dev libjson-c-dev libseccomp-dev libcap-ng-dev linux-libc-dev
TEST_PACKAGES := libcmocka-dev bats strace redis-server redis-tools nginx-light apache2-utils wrk \
	iperf3 curl socat nftables python3 python3-jsonschema gcc-multilib libclang-rt-14-dev \
	man-db groff iproute2 procps util-linux libcap2-bin lld qemu-user binutils bpftrace qemu-system-x86 qemu-system-arm busybox-static git
BENCH_PACKAGES := haproxy gnuplot-nox linux-perf libbpf-tools bpftrace strace redis-server redis-tools \
	nginx-light apache2-utils iperf3 socat python3 util-linux git

.PHONY: deps deps-bench
deps:
	@tests/deps.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
deps-bench:
	@tests/deps.sh $(BUILD_PACKAGES) $(BENCH_PACKAGES)

# --- tests ---------------------------------------------------------------------------------------

$(OUT)/tests/unit/%: tests/unit/%.c $(PURE_OBJS)
	$(call msg,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS) -MMD -MP $< $(PURE_OBJS) -lcmocka $(LIBS_PURE) -o $@

.PHONY: check-unit
check-unit: $(UNIT_BINS)
	$(Q)for t in $^; do echo "# $$t"; $$t || exit 1; done

# Programs that know what they do: tests/e2e/programs/NAME.c, each with the files of E2E_LIB;
# compat and moves a second time as 32-bit programs, on x86.
E2E_DIR  := $(OUT)/tests/e2e
E2E_LIB  := $(addprefix tests/e2e/programs/,truth.c endpoint.c net.c pairs.c)
# Those of one program alone.
E2E_EXACT := $(wildcard tests/e2e/programs/exact_*.c)
E2E_SRCS := $(filter-out $(E2E_LIB) $(E2E_EXACT),$(wildcard tests/e2e/programs/*.c))
E2E_X86  := $(addprefix $(E2E_DIR)/,compat compat32 moves32)
E2E_BINS := $(filter-out $(E2E_X86),$(E2E_SRCS:tests/e2e/programs/%.c=$(E2E_DIR)/%)) \
	$(if $(filter x86,$(ARCH)),$(E2E_X86))
E2E_CC    = $(Q)mkdir -p $(@D) && $(CC) -D_GNU_SOURCE -Itests/e2e/programs $(CFLAGS_ALL) $(LDFLAGS) -MMD -MP -MF $@.d

$(E2E_DIR)/%32: tests/e2e/programs/%.c $(E2E_LIB)
	$(call msg,TEST,$@)
	$(E2E_CC) -m32 -static $(filter %.c,$^) -pthread -o $@

$(E2E_DIR)/bare: tests/e2e/programs/bare.c
	$(call msg,TEST,$@)
	$(E2E_CC) -static -nostdlib -nostartfiles -ffreestanding -fno-stack-protector $(filter %.c,$^) -o $@

$(E2E_DIR)/%: tests/e2e/programs/%.c $(E2E_LIB)
	$(call msg,TEST,$@)
	$(E2E_CC) $(filter %.c,$^) -pthread -o $@

$(E2E_DIR)/exact: $(E2E_EXACT)

.PHONY: tests programs
tests: $(UNIT_BINS) programs
programs: $(E2E_BINS)

# Everything, on a fresh machine too: packages, build with both compilers, all suites.
.PHONY: check
check: deps
	+$(Q)$(MAKE) --no-print-directory all tests
	+$(Q)$(MAKE) --no-print-directory CC=clang OUT=$(OUT)/clang all
	+$(Q)$(MAKE) --no-print-directory SANITIZE=1 all $(UNIT_SRCS:tests/unit/%.c=$(OUT)/sanitize/tests/unit/%)
	+$(Q)$(MAKE) --no-print-directory fuzz cross
	$(Q)OUT=$(OUT) tests/run.sh

# --- fuzzing -------------------------------------------------------------------------------------

FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)

$(OUT)/tests/fuzz/%: tests/fuzz/%.c $(PURE_OBJS)
	$(call msg,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS) -MMD -MP $< $(PURE_OBJS) $(LIBS_PURE) -fsanitize=fuzzer -o $@

.PHONY: fuzz check-fuzz
fuzz:
	+$(Q)$(MAKE) --no-print-directory SANITIZE=1 CC=clang OUT=$(OUT)/fuzz \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' $(FUZZ_SRCS:tests/fuzz/%.c=$(OUT)/fuzz/sanitize/tests/fuzz/%)

FUZZ_SECONDS ?= 10
check-fuzz: deps
	+$(Q)$(MAKE) --no-print-directory fuzz
	$(Q)OUT=$(OUT) tests/fuzz/run.sh $(FUZZ_SECONDS)

# --- other kernels -------------------------------------------------------------------------------

# UPDATE=1 writes the hooks that were taken into docs/KERNELS.md.
.PHONY: check-kernels
check-kernels: deps
	+$(Q)$(MAKE) --no-print-directory all tests cross
	$(Q)OUT=$(OUT) tests/vm/check.sh $(if $(UPDATE),--update)

# --- other architectures -------------------------------------------------------------------------

# For AArch64, with this system's clang and that architecture's libraries from Debian.
# Debian's too is what its kernel runs under emulation beside them (tests/vm/image.sh).
CROSS := $(OUT)/aarch64
CROSS_PACKAGES := python3 busybox-static iproute2
.PHONY: cross check-cross
cross:
	$(Q)tests/cross/sysroot.sh arm64 $(CROSS)/sysroot $(filter %-dev,$(BUILD_PACKAGES)) \
		libgcc-$(shell gcc -dumpversion)-dev $(CROSS_PACKAGES)
	+$(Q)$(MAKE) --no-print-directory ARCH=arm64 OUT=$(CROSS) LDFLAGS=-fuse-ld=lld \
		CC='clang --target=aarch64-linux-gnu --sysroot=$(abspath $(CROSS))/sysroot/root' all programs

check-cross: deps
	+$(Q)$(MAKE) --no-print-directory cross
	$(Q)tests/cross/check.sh $(CROSS)

.PHONY: demo
demo: deps
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)$(OUT)/socktrace run-workload gateway

WORKLOADS ?= gateway feed forwarder
.PHONY: artifacts
artifacts: deps
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/artifacts.sh $(OUT)/socktrace $(WORKLOADS)

# --- benchmarks ----------------------------------------------------------------------------------

BENCH_BIN = $(Q)$(CC) $(CPPFLAGS_ALL) -I$(OUT)/bench $(CFLAGS_ALL) $(filter %.c,$^) -lbpf -lelf -lz -o $@

$(addprefix $(OUT)/bench/,floor.skel.h empty.skel.h ladder.skel.h): $(OUT)/bench/%.skel.h: $(OUT)/tests/bench/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp
	$(Q)mv $@.tmp $@

$(OUT)/bench/bench-socket: $(addprefix tests/bench/,socket.c loads.c loads.h floors.c floors.h bench.c bench.h) $(OUT)/bench/empty.skel.h
	$(call msg,CC,$@)
	$(BENCH_BIN)

$(OUT)/bench/bench-%: tests/bench/%.c tests/bench/bench.c tests/bench/bench.h $(OUT)/bench/floor.skel.h
	$(call msg,CC,$@)
	$(BENCH_BIN)

$(OUT)/bench/looper: $(addprefix tests/bench/,looper.c bench.c bench.h)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(BENCH_BIN)

$(OUT)/bench/ladder: $(addprefix tests/bench/,ladder.c bench.c bench.h) $(OUT)/bench/ladder.skel.h
	$(call msg,CC,$@)
	$(BENCH_BIN)

# What tracing costs, by every tool, in results/overhead.* and docs/OVERHEAD.md. SEED=: another order.
.PHONY: bench
bench: deps-bench
	+$(Q)$(MAKE) --no-print-directory all $(addprefix $(OUT)/bench/,bench-floor looper ladder encoding) $(BENCH_PGO)
	$(Q)tests/bench/overhead.py $(OUT)/socktrace $(OUT)/bench results/overhead.json $(if $(SEED),--seed $(SEED))
	$(Q)tests/bench/overhead_report.py results/overhead.json results/overhead.md \
		results/overhead.svg docs/OVERHEAD.md

# What folds records into a report, writes it and reads it: no BPF.
ENCODING_SRCS := $(addprefix tests/bench/,encoding.c synthetic.c bench.c) \
	$(addprefix user/capture/,records.c socket_rows.c) \
	$(wildcard user/base/*.c user/model/*.c user/report/*.c)

$(OUT)/bench/encoding: $(ENCODING_SRCS:%.c=$(OUT)/%.o)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) $^ $(LIBS_PURE) -o $@

# The same with GCC's profile-guided and link-time optimisation, for this benchmark alone. Trained on
# what is then measured: no other training can gain more. GCC finds a profile by the object's path,
# so both passes build the same objects.
PGO := $(OUT)/bench/pgo
PGO_PASS = +$(Q)$(MAKE) --no-print-directory PGO_FLAGS='$(1)' $(PGO)/encoding
BENCH_PGO := $(if $(findstring clang,$(CC)),,$(OUT)/bench/encoding-pgo)

$(PGO)/%.o: %.c
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(PGO_FLAGS) -c $< -o $@

# Without version.c, which is compiled with flags of its own and has nothing to do here.
$(PGO)/encoding: $(patsubst %.c,$(PGO)/%.o,$(filter-out user/base/version.c,$(ENCODING_SRCS)))
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) $(PGO_FLAGS) $^ $(LIBS_PURE) -o $@

$(OUT)/bench/encoding-pgo: $(OUT)/bench/encoding
	$(Q)rm -rf $(PGO)
	$(call PGO_PASS,-fprofile-generate)
	$(Q)$(PGO)/encoding 2500 > /dev/null
	$(Q)find $(PGO) -name '*.o' -delete
	$(call PGO_PASS,-fprofile-use -flto=auto)
	$(Q)mv $(PGO)/encoding $@

ROUNDS ?= 9
.PHONY: bench-syscall
bench-syscall: all $(OUT)/bench/bench-syscall
	$(Q)$(OUT)/bench/bench-syscall $(OUT)/socktrace $(ROUNDS)

.PHONY: bench-socket
bench-socket: all $(OUT)/bench/bench-socket
	$(Q)$(OUT)/bench/bench-socket $(OUT)/socktrace $(ROUNDS)

.PHONY: bench-redis
bench-redis: all $(OUT)/bench/bench-floor
	$(Q)tests/bench/redis.sh $(OUT)/socktrace $(OUT)/bench/bench-floor $(ROUNDS)

.PHONY: bench-workload
bench-workload: deps-bench
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/bench/workload.py $(OUT)/socktrace $(ROUNDS)

# --- installing ----------------------------------------------------------------------------------

MAN_PAGES := $(wildcard docs/man/*.1)

ifneq ($(MUTATE),)
ifneq ($(filter install,$(MAKECMDGOALS)),)
$(error a build with MUTATE counts wrongly: it is not installed)
endif
endif

.PHONY: install
install: all
	install -D -m 755 $(OUT)/socktrace $(DESTDIR)$(PREFIX)/bin/socktrace
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/socktrace
	install -m 644 $(MAN_PAGES) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/report.schema.json $(DESTDIR)$(PREFIX)/share/socktrace
ifeq ($(SETCAP),1)
	setcap cap_bpf,cap_perfmon=ep $(DESTDIR)$(PREFIX)/bin/socktrace
endif

.PHONY: clean
clean:
	rm -rf $(OUT)

-include $(shell find $(OUT) -type f -name '*.d' 2>/dev/null)
