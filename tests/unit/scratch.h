/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SCRATCH_H
#define NACRE_SCRATCH_H

/*
 * Where tests put files: in a folder of the run's own. It goes when the run ends, also what a test left
 * that failed, was killed, or stood behind walls; tests need not tidy up.
 */
#define SCRATCH_PATH 48

/* Makes the run's folder, and removes it with all that is in it; a signal that ends the run does so, too. */
int scratch_begin(void);
void scratch_end(void);

/* Makes an empty folder, and tells its path. */
void scratch_dir(char path[SCRATCH_PATH]);
/* Makes an empty file; returns a descriptor, to close. */
int scratch_file(char path[SCRATCH_PATH]);

#endif
