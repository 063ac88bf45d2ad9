# SPDX-License-Identifier: Apache-2.0
#
# Nacre's build. `make help` lists the targets. Settings: ARCH=x86_64|arm64 (cross-builds where it
# is not the machine's own), STATIC=1, CC=clang, SAN=address|thread, W=1 (warnings are errors), V=1
# (show commands). For those with a 1, 0 or nothing means off.

VERSION := 0.1.0
HOST    := $(subst aarch64,arm64,$(shell uname -m))
ARCH    ?= $(HOST)
STATIC  ?=
SAN     ?=
RECORD  ?=
W       ?=
V       ?=
PREFIX  ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system

ifeq ($(findstring |$(ARCH)|,|x86_64|arm64|),)
$(error ARCH=$(ARCH) is not known: use x86_64 or arm64)
endif
ifeq ($(findstring |$(SAN)|,||address|thread|),)
$(error SAN=$(SAN) is not known: use address or thread)
endif
override STATIC := $(filter-out 0,$(STATIC))
override RECORD := $(filter-out 0,$(RECORD))
override W      := $(filter-out 0,$(W))
override V      := $(filter-out 0,$(V))
Q      := $(if $(V),,@)
ADIR   := $(if $(filter x86_64,$(ARCH)),x86,arm64)
CLANG  := $(filter clang%,$(notdir $(firstword $(CC))))
BUILD  := build/$(ARCH)$(if $(STATIC),-static)$(if $(SAN),-$(SAN))$(if $(RECORD),-record)$(if $(CLANG),-clang)
GUESTS := build/guest

# Guest code of both architectures is built on every host, by Debian's cross compilers if need be.
CROSS_x86_64 := $(if $(filter x86_64,$(HOST)),,x86_64-linux-gnu-)
CROSS_arm64  := $(if $(filter arm64,$(HOST)),,aarch64-linux-gnu-)
CROSS        := $(CROSS_$(ARCH))
ifneq ($(CROSS),)
TRIPLE  := $(patsubst %-,%,$(CROSS))
ifneq ($(CLANG),)
override CC += --target=$(TRIPLE)
else ifneq ($(filter cc gcc,$(CC)),)
override CC := $(CROSS)gcc
else ifeq ($(filter $(CROSS)%,$(CC)),)
$(error CC=$(CC) does not build for $(ARCH) here: leave it out, or use clang or $(CROSS)gcc)
endif
# A cross-build takes its libraries from a folder of unpacked packages; the system stays as it is.
SYSROOT  = $(eval SYSROOT := $(shell tests/rig/fetch sysroot $(ARCH)))$(SYSROOT)
SYSINC   = -isystem $(SYSROOT)/usr/include -isystem $(SYSROOT)/usr/include/$(TRIPLE)
SYSLIB   = -L$(SYSROOT)/usr/lib/$(TRIPLE)
endif

WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wimplicit-fallthrough -Wvla -Wformat=2 -Wundef
override CPPFLAGS += -I. -D_GNU_SOURCE -DNACRE_VERSION='"$(VERSION)"'
# Tells which rules of the seccomp filters are used: tests/e2e/seccomp-rules.
override CPPFLAGS += $(if $(RECORD),-DNACRE_RECORD)
CFLAGS   ?= -O2 -g
override CFLAGS  += -std=gnu11 -pthread -fno-common -fstack-protector-strong $(WARN)
override LDFLAGS += -pthread -Wl,-z,relro,-z,now,-z,noexecstack $(if $(STATIC),-static)
# evhttp is a client too, and glibc warns of the look-ups of names that a server never makes.
override LDFLAGS += $(if $(STATIC),-Wl$(comma)--no-warnings)
LIBS     := -levent_extra -levent_core -levent_pthreads -ljansson -lfdt -lz -lzstd -luring -laio -lnettle -lcap
ifeq ($(SAN),address)
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(SAN),thread)
SANFLAGS := -fsanitize=thread -fno-omit-frame-pointer
else
override CPPFLAGS += -D_FORTIFY_SOURCE=2
endif
override CFLAGS  += $(SANFLAGS)
override LDFLAGS += $(SANFLAGS)
COMPILE  = $(CC) $(CPPFLAGS) $(SYSINC) $(CFLAGS)
LINK     = $(CC) $(LDFLAGS) $(SYSLIB) $(LIBS)

# $(call stamp,TEXT...) makes the target hold these lines, and leaves it alone when it does so already.
# Objects depend on such files of flags, and follow when a flag changes.
comma    := ,
quote    = '$(subst ','\'',$1)'
stamp    = @mkdir -p $(@D); printf '%s\n' $1 | cmp -s - $@ || printf '%s\n' $1 >$@

# $(call compile,COMMAND) keeps what the compiler warns of in TARGET.warn. W=1 compiles such targets
# again; all others are the same with W=1 and without.
compile  = $(Q)$1 $(if $(W),-Werror) $(if $(MAKE_TERMERR),-fdiagnostics-color) 2>$@.warn; s=$$?; \
           cat $@.warn >&2; [ -s $@.warn ] || rm -f $@.warn; exit $$s

# vmm/kvm_x86.c and kvm_arm64.c are chosen by architecture; everything else in vmm/ is common.
VMM_SRC  := $(filter-out vmm/kvm_x86.c vmm/kvm_arm64.c,$(wildcard vmm/*.c)) vmm/kvm_$(ADIR).c \
            $(filter-out vmm/sandbox/context_%,$(wildcard vmm/sandbox/*.c)) vmm/sandbox/context_$(ADIR).c \
            $(wildcard vmm/api/*.c vmm/util/*.c mem/*.c devices/*.c arch/*.c arch/$(ADIR)/*.c)
VMM_OBJ  := $(VMM_SRC:%.c=$(BUILD)/%.o) $(BUILD)/arch/loader_blob.o $(BUILD)/vmm/api/openapi_blob.o
NACRE    := $(BUILD)/nacre

.PHONY: FORCE completion all deps demo demo-linux check check-unit check-rig lint fuzz bench soak install clean help tags format
.DELETE_ON_ERROR:

all: $(NACRE) ## build nacre (ARCH=arm64 crosses, STATIC=1 gives one static binary)

help: ## list the targets
	@sed -n 's/^\([a-z_.-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 24

$(NACRE): $(VMM_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $(VMM_OBJ) $(SYSLIB) $(LIBS)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(call compile,$(COMPILE) -MMD -MP -c -o $@ $<)

$(BUILD)/flags: FORCE
	$(call stamp,$(call quote,$(COMPILE)) $(call quote,$(LINK)))

ifneq ($(W),)
WARNED := $(shell find $(BUILD) $(GUESTS) -name '*.warn' 2>/dev/null)
$(WARNED:.warn=): FORCE
endif

# ---- seccomp: filters of the rules that stand beside the code, made for the target by a tool of the host ----

HOSTCC  ?= cc
SANDBOX := $(BUILD)/vmm/sandbox
RULES   := vmm/sandbox/rules
RULED   := $(VMM_SRC) $(wildcard vmm/*.h vmm/util/*.h mem/*.h devices/*.h)
# A file that changes only with its content: what depends on it follows no other edits.
changed  = cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(SANDBOX)/rules.txt: $(RULES)/collect.awk $(RULED)
	@mkdir -p $(@D)
	$(Q)awk -f $^ >$@.new && $(changed)

$(SANDBOX)/values.txt: $(SANDBOX)/rules.txt $(RULES)/constants.h vmm/kvm_abi.h $(BUILD)/flags
	$(Q)awk -v constants=1 -f $(RULES)/collect.awk $(RULED) >$(@:.txt=.c)
	$(Q)$(filter-out -fsanitize=%,$(COMPILE)) -Wno-conversion -O1 -S -o $(@:.txt=.s) $(@:.txt=.c)
	$(Q)sed -n 's/.*"->\(.*\) [$$#]*\(-*[0-9]*\)".*/\1 \2/p' $(@:.txt=.s) >$@

$(SANDBOX)/compile: $(RULES)/compile.c
	@mkdir -p $(@D)
	@echo "  HOSTCC  $@"
	$(Q)$(HOSTCC) -O1 -std=gnu11 $(WARN) -Wno-conversion -o $@ $< -lseccomp

$(SANDBOX)/seccomp_rules.inc: $(SANDBOX)/compile $(SANDBOX)/rules.txt $(SANDBOX)/values.txt
	@echo "  RULES   $@"
	$(Q)$(SANDBOX)/compile $(ADIR) $(SANDBOX)/rules.txt $(SANDBOX)/values.txt >$@

$(SANDBOX)/seccomp_rules.o: $(SANDBOX)/seccomp_rules.inc
$(SANDBOX)/seccomp_rules.o: override CPPFLAGS += -I$(SANDBOX)

# ---- the loader: freestanding guest code, embedded as a flat binary ----

GUEST_CFLAGS := -std=gnu11 -O2 -ffreestanding -fno-stack-protector -fpie -fno-asynchronous-unwind-tables \
                -fcf-protection=none -nostdlib -I. $(WARN)
GUEST_LDFLAGS := -static -Wl,--build-id=none -Wl,-z,noexecstack,--no-warn-rwx-segments
GUEST_x86_64 := -m64 -mno-red-zone -mgeneral-regs-only
GUEST_arm64  := -mgeneral-regs-only -mstrict-align
GUEST_CFLAGS_x86_64 := $(GUEST_CFLAGS) $(GUEST_x86_64)
GUEST_CFLAGS_arm64  := $(filter-out -fcf-protection=none,$(GUEST_CFLAGS)) $(GUEST_arm64)
LOADER := $(GUESTS)/$(ARCH)/loader.bin

$(GUESTS)/$(ARCH)/loader.bin: arch/$(ADIR)/loader/start.S arch/$(ADIR)/loader/loader.c \
		arch/$(ADIR)/loader/loader.lds arch/boot_info.h arch/loader_zero.h $(GUESTS)/flags
	@mkdir -p $(@D)
	@echo "  LOADER  $@"
	$(call compile,$(CROSS)gcc $(GUEST_CFLAGS_$(ARCH)) $(GUEST_LDFLAGS) \
		-T arch/$(ADIR)/loader/loader.lds -o $(@:.bin=.elf) $(filter %.S %.c,$^))
	$(Q)$(CROSS)objcopy -O binary $(@:.bin=.elf) $@

$(GUESTS)/flags: FORCE
	$(call stamp,$(call quote,$(GUEST_CC_x86_64)) $(call quote,$(GUEST_CC_arm64) $(GUEST_LDFLAGS)))

$(BUILD)/arch/loader_blob.o: arch/loader_blob.S $(LOADER) $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) -DLOADER_BIN='"$(LOADER)"' -c -o $@ $<

$(BUILD)/vmm/api/openapi_blob.o: vmm/api/openapi_blob.S vmm/api/openapi.json $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) -DOPENAPI_JSON='"vmm/api/openapi.json"' -c -o $@ $<

-include $(VMM_OBJ:.o=.d)

# ---- tests ----

include tests/guest/guests.mk

# The examples of nacre-firmware(7), as they stand there.
guests: $(GUESTS)/x86_64/hello.bin $(GUESTS)/arm64/hello.bin
$(GUESTS)/%/hello.bin: examples/firmware-hello-%.S
	@mkdir -p $(@D)
	$(Q)$(CROSS_$*)gcc -c -o $(@:.bin=.o) $<
	$(Q)$(CROSS_$*)objcopy -O binary $(@:.bin=.o) $@
include tests/bench/bench.mk
include tests/attack/attack.mk

# Pure parts of both architectures are tested on every host; test_*_boot.c include boot.c and layout.c.
UNIT_SRC := $(filter vmm/sandbox/%,$(VMM_SRC)) $(wildcard tests/unit/*.c vmm/util/*.c mem/*.c devices/*.c) \
            arch/bounce.c arch/gunzip.c arch/unzstd.c arch/platform.c arch/arm64/fdt.c arch/arm64/image.c arch/arm64/smccc.c arch/arm64/rsi.c \
            arch/x86/kernel.c arch/x86/tables.c arch/x86/cpuid.c arch/x86/hypercall.c arch/x86/acpi.c \
            arch/x86/aml.c arch/x86/features.c arch/x86/elf.c arch/x86/pvh.c arch/x86/payload.c arch/x86/sev.c \
            $(wildcard vmm/config*.c) vmm/passt.c vmm/nofile.c vmm/walls.c vmm/vm_convert.c $(wildcard vmm/cli*.c) vmm/options.c \
            vmm/options_list.c vmm/measure.c vmm/stats.c $(wildcard vmm/metrics*.c vmm/ctl*.c) vmm/completion.c vmm/inspect.c $(wildcard vmm/api/resource*.c) vmm/api/files.c \
            vmm/api/options.c vmm/api/sock.c $(wildcard vmm/api/server*.c) vmm/api/openapi.c \
            $(UNIT_EXTRA) \
            arch/boot_plan.c arch/boot.c
UNIT_OBJ := $(UNIT_SRC:%.c=$(BUILD)/%.o) $(BUILD)/vmm/api/openapi_blob.o
UNIT     := $(BUILD)/unit

$(UNIT): $(UNIT_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $(UNIT_OBJ) $(SYSLIB) $(LIBS) -lcheck -lsubunit -lrt -lm

unit: $(UNIT)

guests: $(GUESTS)/x86_64/kernel.elf
$(GUESTS)/x86_64/kernel.elf: tests/api/kernel.S
	@mkdir -p $(@D)
	$(Q)$(CROSS_x86_64)gcc -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,-Ttext-segment=0x100000 -o $@ $<

$(BUILD)/tests/api/apitest: $(wildcard tests/api/*.c tests/api/*.h) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(call compile,$(COMPILE) $(LDFLAGS) -o $@ $(filter %.c,$^) $(SYSLIB) -ljansson)

$(BUILD)/tests/e2e/mtecheck: tests/guest/lib/tags.h
$(BUILD)/tests/e2e/%: tests/e2e/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(call compile,$(COMPILE) $(LDFLAGS) -o $@ $<)

check: deps-quiet ## run every test: lint, unit, fuzz, and end to end on real KVM of both architectures
	$(Q)tests/check

check-unit: deps-quiet ## lint, unit tests, sanitizers, short fuzzing
	$(Q)tests/check quick

check-rig: deps-quiet ## end-to-end tests in the emulated hosts
	$(Q)tests/check rig

soak: deps-quiet ## what takes longer than check
	$(Q)tests/check soak

lint: deps-quiet $(NACRE) ## formatting, layers, headers, man pages, options
	$(Q)tests/lint/run $(NACRE)

fuzz: deps-quiet ## fuzz for SECONDS (600) per target
	$(Q)tests/fuzz/run $(or $(SECONDS),600)

bench: deps-quiet ## start-up, memory and conversions against the bare ioctls and QEMU
	$(Q)tests/bench/run

demo-linux: deps-quiet ## make a Debian system and boot it to a login prompt, with network
	$(Q)examples/demo-linux

demo: deps-quiet ## boot a protected guest and show that the VMM cannot read it
	$(Q)examples/demo

guest-kernel: deps-quiet ## build the arm64 kernel that shares its buffers by pKVM's calls
	$(Q)tests/rig/kernel arm64 guest

deps: ## install what a fresh Debian lacks
	$(Q)tests/rig/deps install

print-build:
	@echo $(BUILD)

print-arch:
	@echo $(ARCH)

deps-quiet:
	$(Q)tests/rig/deps

.PHONY: deps-quiet print-build print-arch unit guests guest-kernel

install: $(NACRE) ## install to PREFIX (/usr/local)
	install -D -m 755 $(NACRE) $(DESTDIR)$(PREFIX)/bin/nacre
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 man/nacre.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 man/nacre-dump.5
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man7 man/nacre-api.7 man/nacre-firmware.7 \
		man/nacre-measure.7
	install -D -m 644 examples/system/nacre.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/nacre
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions examples/system/_nacre
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|@PREFIX@|$(PREFIX)|' examples/system/nacre@.service.in >$(DESTDIR)$(UNITDIR)/nacre@.service

completion: $(NACRE) ## make examples/system/nacre.bash and examples/system/_nacre anew, after a change of options
	$(Q)$(NACRE) completion bash >examples/system/nacre.bash
	$(Q)$(NACRE) completion zsh >examples/system/_nacre

clean: ## remove all that was built (packages stay in the cache)
	rm -rf build compile_commands.json tags

# ---- aids ----

C_FILES = $(shell git ls-files '*.c' '*.h')

format: ## apply .clang-format
	$(Q)clang-format -i $(C_FILES)

tags: ## index for editors
	@command -v ctags >/dev/null || { echo "make tags: ctags is missing (apt-get install" \
		"universal-ctags)" >&2; exit 1; }
	$(Q)ctags -o tags $(C_FILES)

compile_commands.json: FORCE $(BUILD)/flags ## for clangd: the files and flags of an ARCH build
	$(Q)tests/lint/compile-commands $(BUILD)/flags $(sort $(VMM_SRC) $(UNIT_SRC)) >$@

-include $(UNIT_OBJ:.o=.d)
