# SPDX-License-Identifier: Apache-2.0
#
# What tests/bench/run needs: its guests of both architectures, and host programs for $(ARCH), built
# with STATIC=1 so that they run in the emulated hosts too.

BENCH     := $(BUILD)/tests/bench
BENCH_BIN := $(BENCH)/timer $(BENCH)/floor $(BENCH)/floor_convert $(BENCH)/disk $(BENCH)/api $(BENCH)/tags \
             $(BENCH)/nacre-no-walls
FLOOR_x86_64 := arch/x86/tables.c
FLOOR_arm64  := arch/arm64/smccc.c
FLOOR_SRC := tests/bench/floor.c tests/bench/bare_$(ADIR).c $(FLOOR_$(ARCH))
# All of Nacre but the part that makes a VMM of it.
BENCH_SRC := $(FLOOR_SRC) tests/bench/timer.c tests/bench/floor_convert.c tests/bench/floor_vcpus.c \
             tests/bench/disk.c tests/bench/api.c tests/bench/tags.c tests/bench/no_walls.c \
             tests/unit/fake_driver.c tests/unit/fake_slots.c
NO_MAIN   := $(filter-out $(BUILD)/vmm/main.o,$(VMM_OBJ))
DISK_OBJ  := $(patsubst %,$(BUILD)/tests/%.o,bench/disk unit/fake_driver unit/fake_slots)

.PHONY: bench-programs bench-guests
bench-programs: $(BENCH_BIN)
bench-guests: $(foreach a,x86_64 arm64,$(GUESTS)/$(a)/bench_exit.bin $(GUESTS)/$(a)/bench_convert.bin \
		$(GUESTS)/$(a)/spin_forever.bin \
		$(GUESTS)/$(a)/bench_disk.bin) \
	$(GUESTS)/x86_64/pvh_exit.elf $(GUESTS)/x86_64/pvh_spin.elf \
	$(GUESTS)/arm64/virt_exit.bin $(GUESTS)/arm64/virt_spin.bin

$(BENCH)/timer: $(BENCH)/timer.o
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(BENCH)/api: $(BENCH)/api.o
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(BENCH)/floor: $(FLOOR_SRC:%.c=$(BUILD)/%.o)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(BENCH)/floor_convert: $(NO_MAIN) $(BENCH)/floor_convert.o $(BENCH)/floor_vcpus.o
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SYSLIB) $(LIBS)

$(BENCH)/disk: $(NO_MAIN) $(DISK_OBJ)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SYSLIB) $(LIBS)

$(BENCH)/tags: $(NO_MAIN) $(BENCH)/tags.o
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SYSLIB) $(LIBS)

$(BENCH)/nacre-no-walls: $(VMM_OBJ) $(BENCH)/no_walls.o
	$(Q)$(CC) $(LDFLAGS) -Wl,--wrap=sandbox_begin,--wrap=seccomp_prepare -o $@ $^ $(SYSLIB) $(LIBS)

-include $(BENCH_SRC:%.c=$(BUILD)/%.d)

# ---- guests: one file, no library ----

BENCH_LD := -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-Ttext-segment

$(GUESTS)/x86_64/bench_exit.elf: tests/bench/exit_x86.S
$(GUESTS)/arm64/bench_exit.elf: tests/bench/exit_arm64.S
$(GUESTS)/x86_64/pvh_exit.elf: tests/bench/pvh.S
$(GUESTS)/x86_64/pvh_spin.elf: tests/bench/pvh.S
$(GUESTS)/arm64/virt_exit.elf: tests/bench/arm64_virt.S
$(GUESTS)/arm64/virt_spin.elf: tests/bench/arm64_virt.S

$(GUESTS)/x86_64/bench_exit.elf $(GUESTS)/x86_64/pvh_exit.elf $(GUESTS)/x86_64/pvh_spin.elf:
	@mkdir -p $(@D)
	$(Q)$(CROSS_x86_64)gcc $(if $(findstring pvh,$@),-m32) $(if $(findstring spin,$@),-DSPIN) \
		$(BENCH_LD)=0x100000 -o $@ $<

$(GUESTS)/arm64/bench_exit.elf $(GUESTS)/arm64/virt_exit.elf $(GUESTS)/arm64/virt_spin.elf:
	@mkdir -p $(@D)
	$(Q)$(CROSS_arm64)gcc $(if $(findstring spin,$@),-DSPIN) $(BENCH_LD)=0x400000 -o $@ $<

$(GUESTS)/x86_64/bench_exit.bin: %.bin: %.elf
	$(Q)$(CROSS_x86_64)objcopy -O binary -j .text $< $@
$(GUESTS)/arm64/bench_exit.bin $(GUESTS)/arm64/virt_exit.bin $(GUESTS)/arm64/virt_spin.bin: %.bin: %.elf
	$(Q)$(CROSS_arm64)objcopy -O binary -j .text $< $@
