# SPDX-License-Identifier: Apache-2.0
#
# What tests/e2e/attack needs, for $(ARCH): nacre with an attacker inside, and attacks from outside. And
# other builds of nacre that do what it must not, so that tests are seen to find it.

ATTACK      := $(BUILD)/tests/attack
ATTACK_LIB  := $(ATTACK)/battery.o $(ATTACK)/search.o
ATTACK_BIN  := $(ATTACK)/nacre-attack $(ATTACK)/attack $(ATTACK)/nacre-escape \
               $(ATTACK)/nacre-tagged $(ATTACK)/nacre-chores

.PHONY: attack-programs
attack-programs: $(ATTACK_BIN)

$(ATTACK)/nacre-attack: $(VMM_OBJ) $(ATTACK)/inside.o $(ATTACK_LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -Wl,--wrap=mem_new -o $@ $^ $(SYSLIB) $(LIBS)

# One that a guest breaks into: tests/e2e/escape.
$(ATTACK)/nacre-escape: $(VMM_OBJ) $(ATTACK)/escape.o
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -Wl,--wrap=mem_new,--wrap=bus_write,--wrap=loop_start_thread -o $@ $^ $(SYSLIB) $(LIBS)

# One whose threads do what they else do by chance: tests/e2e/chores.
CHORES_OBJ  := $(ATTACK)/chores.o $(ATTACK)/chores_calm.o $(ATTACK)/chores_stopped.o
CHORES_WRAP := mem_new thread_start seccomp_prepare seccomp_seal loop_stop sched_yield \
               blkfile_fd io_uring_submit_and_wait
$(ATTACK)/nacre-chores: $(VMM_OBJ) $(CHORES_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) $(CHORES_WRAP:%=-Wl,--wrap=%) -o $@ $^ $(SYSLIB) $(LIBS)

# One that maps guest memory with PROT_MTE: tests/e2e/mte.
$(ATTACK)/nacre-tagged: $(VMM_OBJ) $(ATTACK)/tagged.o
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -Wl,--wrap=mem_add_ram -o $@ $^ $(SYSLIB) $(LIBS)

$(ATTACK)/attack: $(ATTACK)/outside.o $(ATTACK_LIB) $(BUILD)/mem/guard.o $(BUILD)/vmm/util/err.o \
		$(BUILD)/vmm/util/text.o
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SYSLIB) $(LIBS)

-include $(ATTACK)/inside.d $(ATTACK)/escape.d $(CHORES_OBJ:.o=.d) $(ATTACK)/tagged.d $(ATTACK)/outside.d $(ATTACK_LIB:.o=.d)
