/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine_impl.h"

#include "devices/tty.h"
#include "vmm/metrics.h"
#include "vmm/protect.h"
#include "vmm/util/clock.h"
#include "vmm/virtio_set.h"

static void read_parts(const struct machine *m, struct stats_report *out)
{
	struct serial_counts uart = { 0 };
	struct tty_dropped dropped = { 0 };
	uint32_t i;

	for (i = 0; i < m->vm->vcpu_count; i++)
		stats_add_vcpu(out, &m->vm->vcpus[i].stats);
	if (m->serial)
		serial_read_counts(m->serial, &uart);
	if (m->tty)
		dropped = tty_read_dropped(m->tty);
	out->uart.reads = uart.reads;
	out->uart.writes = uart.writes;
	out->uart.dropped = uart.dropped + dropped.late;
	out->uart.limited = dropped.limited;
	out->protection = m->vm->config.protection;
}

void machine_stats(struct machine *m, struct stats_report *out)
{
	*out = (struct stats_report){
		.uptime_ms = clock_ms() - m->started_ms,
		.is_split = protection_has_gmem(m->vm->config.protection),
		.ram_bytes = m->vm->config.ram_bytes,
	};
	stats_read(&m->vm->stats, out);
	read_parts(m, out);
	if (m->virtio)
		virtio_set_stats(m->virtio, out);
}

static void read_stats(void *machine, struct stats_report *out)
{
	machine_stats(machine, out);
}

int machine_write_metrics(struct machine *m, const char *path, struct err *e)
{
	int r = metrics_new(&m->metrics, m->control, NULL, e);

	if (r)
		return r;
	metrics_set_source(m->metrics, read_stats, m);
	return metrics_open(m->metrics, path, e);
}

void machine_free_metrics(struct machine *m)
{
	/* The last line says what all of them have done. */
	if (m->metrics)
		metrics_set_source(m->metrics, NULL, NULL);
	metrics_free(m->metrics);
}
