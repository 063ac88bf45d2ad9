/* SPDX-License-Identifier: Apache-2.0 */

/* The list of devices, and how each is made, joined to the VM and freed. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "devices/tty.h"
#include "vmm/machine_impl.h"
#include "vmm/util/fd.h"
#include "vmm/util/log_sink.h"
#include "vmm/virtio_set.h"

/* The host end of the consoles: standard input, and the file for the output, or standard output. */
static int make_tty(struct machine *m, struct err *e)
{
	struct tty_config tc = { .loop = m->console,
		.in_fd = STDIN_FILENO,
		.out_fd = STDOUT_FILENO,
		.drop_late = m->config->serial_path != NULL,
		.limit = m->config->serial_limit,
		.quit = machine_quit,
		.ctx = m };

	if (m->config->serial_path) {
		m->serial_out = sink_open_path(m->config->serial_path, e);
		if (m->serial_out < 0)
			return err_prefix(e, m->serial_out, "serial-path");
		tc.out_fd = m->serial_out;
	}
	return tty_new(&m->tty, &tc, e);
}

static int make_serial(
	struct machine *m, const struct platform_dev *row, struct bus_dev *d, struct err *e)
{
	struct serial_config sc;
	int r = make_tty(m, e);

	if (!r)
		r = vm_add_irq(m->vm, row->irq, &m->serial_irq, e);
	if (r)
		return r;
	sc = (struct serial_config){ .irq = m->serial_irq,
		.tty = m->tty,
		.output_only = m->config->console == CONSOLE_VIRTIO };
	r = serial_new(&m->serial, &sc, e);
	if (r)
		return r;
	*d = (struct bus_dev){ .name = "serial",
		.ops = &serial_ops,
		.dev = m->serial,
		.lock = serial_lock(m->serial) };
	return 0;
}

static int make_rtc(
	struct machine *m, const struct platform_dev *row, struct bus_dev *d, struct err *e)
{
	struct pl031_config c = { .loop = m->control };
	int r = vm_add_irq(m->vm, row->irq, &m->rtc_irq, e);

	c.irq = m->rtc_irq;
	if (!r)
		r = pl031_new(&m->rtc, &c, e);
	if (r)
		return r;
	*d = (struct bus_dev){
		.name = "rtc", .ops = &pl031_ops, .dev = m->rtc, .lock = pl031_lock(m->rtc)
	};
	return 0;
}

static int make_power(
	struct machine *m, const struct platform_dev *row, struct bus_dev *d, struct err *e)
{
	*d = (struct bus_dev){ .name = "power", .ops = &power_bus_ops, .dev = &m->power };
	if (row->kind == PLATFORM_I8042)
		*d = (struct bus_dev){ .name = "i8042", .ops = &i8042_ops, .dev = &m->power };
	if (row->kind == PLATFORM_ACPI)
		*d = (struct bus_dev){ .name = "acpi", .ops = &acpi_ops, .dev = &m->power };
	if (row->kind == PLATFORM_PVPANIC)
		*d = (struct bus_dev){ .name = "pvpanic", .ops = &pvpanic_ops, .dev = &m->power };
	if (row->kind == PLATFORM_ACPI)
		return vm_add_irq(m->vm, row->irq, &m->button, e);
	return 0;
}

static int make_probe(
	struct machine *m, const struct platform_dev *row, struct bus_dev *d, struct err *e)
{
	int r;

	(void)row;
	if (!m->config->probe)
		return 0;
	r = probe_dev_new(&m->probe, m->vm->mem, e);
	if (r)
		return r;
	*d = (struct bus_dev){ .name = "probe",
		.ops = &probe_dev_ops,
		.dev = m->probe,
		.lock = probe_dev_lock(m->probe) };
	return 0;
}

/* The devices. Each fills its bus row, or leaves it empty when the config does not want it. */
static int (*const makers[PLATFORM_KINDS])(
	struct machine *m, const struct platform_dev *row, struct bus_dev *d, struct err *e) = {
	[PLATFORM_SERIAL] = make_serial,
	[PLATFORM_POWER] = make_power,
	[PLATFORM_PROBE] = make_probe,
	[PLATFORM_I8042] = make_power,
	[PLATFORM_ACPI] = make_power,
	[PLATFORM_PVPANIC] = make_power,
	[PLATFORM_RTC] = make_rtc,
};

static int add_platform(struct machine *m, struct err *e)
{
	const struct platform *p = &m->vm->layout.platform;
	unsigned int i;
	int r;

	for (i = 0; i < p->count; i++) {
		const struct platform_dev *row = &p->devs[i];
		struct bus_dev d = { 0 };

		if (row->kind == PLATFORM_VIRTIO)
			continue; /* see add_virtio */
		r = makers[row->kind](m, row, &d, e);
		if (!r && d.ops) {
			d.base = row->base;
			d.size = row->size;
			r = bus_add(row->port ? &m->vm->port : &m->vm->mmio, &d, e);
		}
		if (r)
			return r;
	}
	return 0;
}

static void on_resized(void *arg, int signo, short events)
{
	struct machine *m = arg;

	(void)signo;
	(void)events;
	virtio_set_resized(m->virtio);
}

/* Their loop is a member of the park: they look at guest memory. */
static int add_virtio(struct machine *m, struct err *e)
{
	int r;

	if (!config_virtio_count(m->config))
		return 0;
	/* All else of a pKVM guest's RAM is not for the host to touch, nor even to try. */
	if (m->vm->config.protection == PROTECTION_PKVM)
		mem_limit_devices(m->vm->mem, m->vm->layout.pool.base, m->vm->layout.pool.size);
	r = loop_new(&m->io, &m->vm->park, e);
	if (!r)
		r = virtio_set_new(&m->virtio, m->vm, m->io, m->tty, m->config, e);
	return r ? r : loop_add_signal(m->control, SIGWINCH, on_resized, m, &m->resized, e);
}

void machine_init_devices(struct machine *m)
{
	m->serial_out = -1;
	m->serial_irq.fd = -1;
	m->rtc_irq.fd = -1;
	m->button.fd = -1;
}

int machine_add_devices(struct machine *m, struct err *e)
{
	int r = add_platform(m, e);

	return r ? r : add_virtio(m, e);
}

void machine_free_devices(struct machine *m)
{
	virtio_set_free(m->virtio);
	serial_free(m->serial);
	tty_free(m->tty);
	fd_close(&m->serial_out);
	fd_close(&m->serial_irq.fd);
	pl031_free(m->rtc);
	fd_close(&m->rtc_irq.fd);
	fd_close(&m->button.fd);
	probe_dev_free(m->probe);
}
