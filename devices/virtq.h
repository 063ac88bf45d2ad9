/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTQ_H
#define NACRE_VIRTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mem/mem.h"
#include "vmm/util/err.h"

/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * Descriptor table, available ring and used ring lie in guest memory and the guest may change them
 * at any time. So everything is copied once through the gate, the copy is checked, and only the
 * copy is used. What is wrong is told as a sentence and as a negative errno; the caller then fails
 * the device (virtio_fail). Device models use the shorter forms of devices/virtio.h.
 *
 *   virtq_start                          the driver has enabled the queue
 *   virtq_pop -> work -> virtq_push      each chain that was popped is given back exactly once, by
 *                                        virtq_push, virtq_drop or virtq_unpop
 *   virtq_stop                           reset: no further access to the rings
 *
 * A chain may be under way while its queue is stopped and even started again: it belongs to the
 * generation in which it was popped, and giving it back later touches no guest memory. The data a
 * chain points to is another matter: who starts I/O on it that runs by itself must keep the reset
 * from being complete until that ended. in_flight counts the chains not given back, of all
 * generations, and the transport reports a reset as done when it is 0.
 *
 * Threads: none of this locks. The device's mutex covers a queue, and the calling thread must be a
 * running member of the park (vmm/util/park.h).
 */
#define VIRTQ_SIZE_MAX 32768u
/* Buffers in a chain. Linux builds indirect chains longer than the queue, so this is the limit. */
#define VIRTQ_SEGS_MAX 256u

struct virtq {
	/* Set up by the transport while the queue is stopped. */
	uint16_t max;  /* entries we offer; a power of two */
	uint16_t size; /* entries the driver wants */
	gpa_t desc, avail, used;
	bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect;	/* VIRTIO_F_INDIRECT_DESC was negotiated */

	bool ready;
	uint32_t generation;	/* counts starts */
	unsigned int in_flight; /* chains popped and not given back */
	uint16_t last_avail;	/* the next entry of the available ring to pop */
	uint16_t avail_idx;	/* how far the driver was when we last looked */
	uint16_t used_idx;	/* the next entry of the used ring to fill */
	uint16_t signalled;	/* used_idx when we last decided about an interrupt */
	uint16_t used_flags;
};

/*
 * One request: first `readable` buffers that the device reads, then `writable` ones that it fills.
 * The host pointers in iov are good while the calling thread stays a running member, that is until
 * a loop callback returns, or as long as the buffers are held (mem/hold.h). After that,
 * virtq_chain_map asks the gate again.
 */
struct virtq_chain {
	uint16_t head;
	uint32_t generation;
	unsigned int readable; /* number of buffers */
	unsigned int writable; /* number of buffers, behind the readable ones */
	uint32_t read_len;     /* bytes in all readable buffers */
	uint32_t write_len;    /* bytes in all writable buffers */
	unsigned int descs;    /* entries of the queue's own table: an indirect one counts once */
	struct iovec iov[VIRTQ_SEGS_MAX];
	gpa_t gpa[VIRTQ_SEGS_MAX];
};

/*
 * Checks size, alignment (2.7) and that all three parts are shared guest memory, then starts from
 * index 0. Returns 0 or -errno with a sentence, and the queue stays stopped.
 */
int virtq_start(struct virtq *vq, const struct mem *mem, struct err *e);
/* Forgets the ring; chains under way become stale. Size and addresses stay. */
void virtq_stop(struct virtq *vq);

/*
 * Takes the next chain (2.7.5, 2.7.6). Returns 1, 0 when there is none or the queue is stopped, or
 * -errno with a sentence when the driver broke the rules: a jump of the available index, an index
 * outside the table, a loop, too many or too long buffers, an empty buffer, a readable behind a
 * writable one, bad indirect tables, memory that is private or does not exist. An error takes
 * nothing; asking again gives the same error.
 */
int virtq_pop(struct virtq *vq, const struct mem *mem, struct virtq_chain *c, struct err *e);

/* Gives back the chain popped last as if it had not been popped: it comes again. */
void virtq_unpop(struct virtq *vq, const struct virtq_chain *c);

/*
 * Gives a chain back to the driver (2.7.8) with the number of bytes written to its writable part.
 * A stale chain counts as given back, and nothing else happens. 0 or -errno.
 */
int virtq_push(struct virtq *vq, const struct mem *mem, const struct virtq_chain *c,
	uint32_t written, struct err *e);

/*
 * The same for n chains of one generation that belong together, the frame of a network device: the
 * driver sees all of them or none (5.1.6.4), because the index moves once.
 */
struct virtq_done {
	uint16_t head;
	uint32_t written;
};
int virtq_push_all(struct virtq *vq, const struct mem *mem, uint32_t generation,
	const struct virtq_done *done, unsigned int n, struct err *e);

/* Gives a chain back without telling the driver: for resets. */
void virtq_drop(struct virtq *vq);

/*
 * After one or more pushes: does the driver want an interrupt (2.7.7)? 1, 0 or -errno. Decides for
 * all pushes since the last call, so call it once for a batch.
 */
int virtq_should_notify(struct virtq *vq, const struct mem *mem, struct err *e);

/*
 * Whether the driver shall notify us (2.7.10). Off is a wish, the driver may notify all the same.
 * On returns 1 when chains came in meanwhile, for which no notification will follow: pop again.
 * It returns 0 when there are none: now a notification will come. -errno as above.
 */
int virtq_notify_off(struct virtq *vq, const struct mem *mem, struct err *e);
int virtq_notify_on(struct virtq *vq, const struct mem *mem, struct err *e);

/*
 * Guarded copies out of the readable and into the writable part, starting off bytes into it. 0;
 * -EINVAL when the part is too short; -EFAULT when a page is private by now. With a sentence. The
 * guest can change the data between two reads: read a header once, then check and use the copy.
 */
int virtq_chain_read(const struct virtq_chain *c, const struct mem *mem, uint32_t off, void *buf,
	size_t len, struct err *e);
int virtq_chain_write(const struct virtq_chain *c, const struct mem *mem, uint32_t off,
	const void *buf, size_t len, struct err *e);

/* Fetches all host pointers anew. 0, or -EFAULT with a sentence when a page is private by now. */
int virtq_chain_map(struct virtq_chain *c, const struct mem *mem, struct err *e);

#endif
