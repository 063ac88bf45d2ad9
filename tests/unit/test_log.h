/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_LOG_H
#define NACRE_TEST_LOG_H

#include <check.h>

#include "tests/unit/scratch.h"
#include "vmm/util/fd.h"

/* What the files of the log suite share; defined in test_log.c. */
TCase *log_loss_case(void);

/* A folder, and in it the log, which is not there yet. */
extern char log_dir[SCRATCH_PATH], log_path[SCRATCH_PATH + 8];
void log_test_setup(void);
/* Everything goes to standard error again. */
void log_test_teardown(void);

/* All that the log has, to free by blob_free. */
struct blob log_content(void);

#endif
