# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# For scripts that are root on an emulated host, to set up what a user finds: from here on, nacre runs as
# an ordinary user of the group of /dev/kvm (asuser.c), and so does nacre-attack where it is there. An
# empty NACRE_AS has it run as whoever calls.

NACRE_AS=1000:1000:$(stat -c %g /dev/kvm)
export NACRE_AS
mkdir -p /usr/local/libexec
for program in /usr/local/bin/nacre /usr/local/bin/nacre-attack; do
	[ -f $program ] || continue
	mv $program /usr/local/libexec/
	cp /usr/local/bin/asuser $program
done
umask 0 # it reads and writes what the scripts make
# shellcheck disable=SC3045 # busybox has it
ulimit -l unlimited # pKVM pins guest memory
