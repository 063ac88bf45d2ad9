/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SECCOMP_CONSTANTS_H
#define NACRE_SECCOMP_CONSTANTS_H

/* Whatever a rule beside the code names: see collect.awk. Included by nothing but what that makes. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/prctl.h>
#include <linux/vhost.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#include "vmm/kvm_abi.h"
#include "vmm/sandbox/seccomp_impl.h"

/* Flags of open() other than those that a file which exists is opened with, to be read and written. */
#define NOT_TO_OPEN \
	(~(unsigned int)(O_ACCMODE | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_DIRECT | O_LARGEFILE))

#endif
