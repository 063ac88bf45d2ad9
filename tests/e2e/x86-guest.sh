# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# For x86-64 Linux guests in the emulated hosts.
#
# QEMU's emulated SVM does not forget an interrupt that VMRUN has injected: a kick of the emulated
# processor before the next #VMEXIT delivers the vector a second time, even into a guest that has
# interrupts off, and the guest hangs. An end of interrupt without an exit, which is what pv-eoi is
# for, makes that time long; without pv-eoi each interrupt is followed by an exit at once.
# What is left are a few boots of a hundred in which the guest finds flags in its registers that no
# processor has, and panics or hangs: so each boot has three tries here, and says when it needed them.
# shellcheck disable=SC2034 # for those who read this file
x86_guest='--hide-cpu-features pv-eoi'

# thrice COMMAND...: until it succeeds, three times at most.
thrice() {
	"$@" && return
	echo "again: $name, what the guest said last: $(tail -n 1 "$work/out" | tr -d '\r')"
	"$@" && return
	echo "again: $name, for the last time"
	"$@"
}
