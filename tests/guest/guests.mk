# SPDX-License-Identifier: Apache-2.0
#
# The test guests: tests/guest/NAME.c for both architectures, tests/guest/x86/NAME.c and
# tests/guest/arm64/NAME.c for one. Each becomes build/guest/ARCH/NAME.bin.

GUEST_DIR_x86_64  := x86
GUEST_DIR_arm64   := arm64
GUEST_BASE_x86_64 := 0xC0010000
GUEST_BASE_arm64  := 0x10010000
# What gcc would call for an atomic operation lies in a library that is not linked.
GUEST_TEST_arm64  := -mno-outline-atomics

.PHONY: guests
guests: ## build the test guests of both architectures

define guest_rules
GUEST_OBJ_$(1)  := $$(GUESTS)/$(1)/obj
GUEST_LIB_$(1)  := $$(patsubst tests/guest/lib/%,$$(GUEST_OBJ_$(1))/lib/%.o,\
	$$(basename $$(wildcard tests/guest/lib/*.c) $$(wildcard tests/guest/lib/$(2)/*.[cS])))
GUEST_NAMES_$(1) := $$(basename $$(notdir $$(wildcard tests/guest/*.c tests/guest/$(2)/*.c)))
GUEST_BIN_$(1)  := $$(GUEST_NAMES_$(1):%=$$(GUESTS)/$(1)/%.bin)
GUEST_CC_$(1)   := $$(CROSS_$(1))gcc $$(GUEST_CFLAGS_$(1)) $$(GUEST_TEST_$(1)) -fno-builtin \
	-Itests/guest/lib -Itests/guest/lib/$(2)

.PHONY: guests-$(1)
guests: guests-$(1)
guests-$(1): $$(GUEST_BIN_$(1))

$$(GUEST_OBJ_$(1))/%.o: tests/guest/%.c $$(GUESTS)/flags tests/guest/guests.mk
	@mkdir -p $$(@D)
	$$(call compile,$$(GUEST_CC_$(1)) -MMD -MP -c -o $$@ $$<)

$$(GUEST_OBJ_$(1))/%.o: tests/guest/$(2)/%.c $$(GUESTS)/flags tests/guest/guests.mk
	@mkdir -p $$(@D)
	$$(call compile,$$(GUEST_CC_$(1)) -MMD -MP -c -o $$@ $$<)

$$(GUEST_OBJ_$(1))/%.o: tests/guest/%.S $$(GUESTS)/flags tests/guest/guests.mk
	@mkdir -p $$(@D)
	$$(call compile,$$(GUEST_CC_$(1)) -MMD -MP -c -o $$@ $$<)

$$(GUESTS)/$(1)/%.elf: $$(GUEST_OBJ_$(1))/%.o $$(GUEST_LIB_$(1)) tests/guest/lib/guest.lds
	@echo "  GUEST   $$(@:.elf=.bin)"
	$$(Q)$$(GUEST_CC_$(1)) $$(GUEST_LDFLAGS) \
		-Wl,--defsym=GUEST_BASE=$$(GUEST_BASE_$(1)) -T tests/guest/lib/guest.lds -o $$@ \
		$$(filter %.o,$$^)

$$(GUEST_BIN_$(1)): %.bin: %.elf
	$$(Q)$$(CROSS_$(1))objcopy -O binary $$< $$@

.SECONDARY: $$(GUEST_NAMES_$(1):%=$$(GUEST_OBJ_$(1))/%.o) $$(GUEST_BIN_$(1):.bin=.elf) \
	$$(GUEST_LIB_$(1))
-include $$(GUEST_LIB_$(1):.o=.d) $$(GUEST_NAMES_$(1):%=$$(GUEST_OBJ_$(1))/%.d)
endef

$(eval $(call guest_rules,x86_64,$(GUEST_DIR_x86_64)))
$(eval $(call guest_rules,arm64,$(GUEST_DIR_arm64)))
