/* SPDX-License-Identifier: Apache-2.0 */

/* What is said of network devices, as far as it can be checked without opening anything. */
#include <errno.h>
#include <linux/if.h>
#include <string.h>
#include <strings.h>

#include "vmm/config_impl.h"
#include "vmm/util/text.h"

#define RATE(u) .type = OPTION_RATE, .max = RATE_MAX, .unit = u " a second"
static const char *const vhost_names[] = { "auto", "on", "off" };
_Static_assert(sizeof(enum net_vhost) == sizeof(uint32_t), "enum net_vhost");
#define NET(field) OPTION_FIELD(struct net_config, field)
static const struct option_def net_defs[] = {
	{ .name = "backend",
		NET(backend),
		.type = OPTION_STRING,
		.min = 1,
		.max = 64,
		.help = "tap=NAME, an interface of the host, or user" },
	{ .name = "mac",
		NET(mac),
		.type = OPTION_STRING,
		.min = 1,
		.max = 64,
		.help = "The guest's address" },
	{ .name = "mtu",
		NET(mtu),
		.type = OPTION_INTEGER,
		.max = NET_MTU_MAX,
		.unit = "bytes",
		.help = "What the guest is told of the largest packet" },
	{ .name = "rx-bandwidth",
		NET(rx_limit.bandwidth),
		RATE("bytes"),
		.help = "Limit of what the guest receives" },
	{ .name = "tx-bandwidth",
		NET(tx_limit.bandwidth),
		RATE("bytes"),
		.help = "Limit of what the guest sends" },
	{ .name = "rx-pps",
		NET(rx_limit.ops),
		RATE("frames"),
		.help = "Limit of the frames that the guest receives" },
	{ .name = "tx-pps",
		NET(tx_limit.ops),
		RATE("frames"),
		.help = "Limit of the frames that the guest sends" },
	{ .name = "vhost",
		NET(vhost),
		NAMES(vhost_names),
		.help = "Whether the host's kernel serves the queues" },
	{ .name = "id",
		NET(id),
		.type = OPTION_STRING,
		.min = 1,
		.max = CONFIG_ID_MAX,
		.help = "What the API calls it" },
};

const struct option_table config_net_table = { net_defs, ARRAY_SIZE(net_defs) };

const char *net_tap(const struct net_config *n)
{
	return strncmp(n->backend, "tap=", 4) ? NULL : n->backend + 4;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' - 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool net_parse_mac(const char *text, uint8_t mac[6])
{
	unsigned int i;

	if (strlen(text) != 17)
		return false;
	for (i = 0; i < 6; i++, text += 3) {
		int high = hex(text[0]), low = hex(text[1]);

		if (high < 0 || low < 0 || (i < 5 && text[2] != ':'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* FNV-1a. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len; len--, p++)
		hash = (hash ^ *p) * 0x100000001b3;
	return hash;
}

void net_default_mac(const struct net_config *n, uint32_t item, const void *host, size_t host_len,
	uint8_t mac[6])
{
	uint64_t hash = hash_bytes(0xcbf29ce484222325, host, host_len);
	unsigned int i;

	hash = hash_bytes(hash, n->backend, strlen(n->backend));
	if (!net_tap(n))
		hash = hash_bytes(hash, &item, sizeof(item));
	for (i = 0; i < 6; i++, hash >>= 8)
		mac[i] = (uint8_t)hash;
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

/* What the kernel accepts, but for % which stands for a number of its choice. */
bool net_is_interface(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	return !strpbrk(name, "/:% \t\n\v\f\r");
}

static int check_backend(const struct net_config *n, struct err *e)
{
	const char *tap = net_tap(n);
	char shown[TEXT_SHOWN];
	int r = 0;

	if (!tap && strcmp(n->backend, "user"))
		r = err_set(e, -EINVAL, "\"%s\" is neither tap=NAME nor user (as in tap=tap0)",
			text_show(shown, sizeof(shown), n->backend));
	else if (tap && !net_is_interface(tap))
		r = err_set(e, -EINVAL,
			"\"%s\" is no name of an interface, expected 1 to 15 bytes without "
			"blanks, /, : and %%",
			text_show(shown, sizeof(shown), tap));
	if (r)
		err_at(e, "backend");
	return r;
}

int net_check_mac(const char *text, struct err *e)
{
	static const uint8_t zero[6];
	char shown[TEXT_SHOWN];
	uint8_t mac[6];

	text_show(shown, sizeof(shown), text);
	if (!net_parse_mac(text, mac))
		return err_set(e, -EINVAL, "\"%s\" is not like 02:00:00:12:34:56", shown);
	if (mac[0] & 1 || !memcmp(mac, zero, sizeof(mac)))
		return err_set(e, -EINVAL,
			"%s is no address of one interface (the first byte must be even)", shown);
	return 0;
}

static int check_mac(const struct net_config *n, struct err *e)
{
	int r = n->mac ? net_check_mac(n->mac, e) : 0;

	if (!r)
		return 0;
	err_at(e, "mac");
	return err_prefix(e, r, "mac");
}

static int check_mtu(const struct net_config *n, struct err *e)
{
	int r;

	if (!n->mtu || n->mtu >= NET_MTU_MIN)
		return 0;
	r = err_set(e, -EINVAL, "mtu: %u is less than %u (leave it out, or make it larger)", n->mtu,
		NET_MTU_MIN);
	err_at(e, "mtu");
	return r;
}

static int check_alone(const struct net_config *n, struct err *e)
{
	int r = check_backend(n, e);

	if (!r)
		r = check_mac(n, e);
	return r ? r : check_mtu(n, e);
}

int config_check_net_items(const struct config *c, struct err *e)
{
	const struct net_config *nets = c->nets.items;
	uint32_t i;
	int r;

	for (i = 0; i < c->nets.count; i++) {
		r = check_alone(&nets[i], e);
		if (r)
			return err_item(e, r, i);
	}
	return 0;
}

bool net_is_limited(const struct net_config *n)
{
	return ratelimit_limits(&n->rx_limit) || ratelimit_limits(&n->tx_limit);
}

static int check_vhost(const struct net_config *n, enum protection p, struct err *e)
{
	if (n->vhost != NET_VHOST_ON)
		return 0;
	if (!net_tap(n))
		return err_set(e, -EINVAL,
			"vhost=on is for a tap interface (leave it out, or use tap=NAME)");
	if (net_is_limited(n))
		return err_set(e, -EINVAL,
			"vhost=on does not go together with limits (leave it or them out)");
	if (p != PROTECTION_NONE && p != PROTECTION_AUTO)
		return err_set(e, -EINVAL,
			"vhost=on does not fit protection %s: the host's kernel "
			"would have to reach guest memory through this process (leave it out)",
			protection_name(p));
	return 0;
}

static int check_pair(
	const struct net_config *n, const struct net_config *other, uint32_t i, struct err *e)
{
	if (net_tap(n) && !strcmp(n->backend, other->backend))
		return err_set(
			e, -EINVAL, "interface %s is that of item %u already", net_tap(n), i + 1);
	if (n->mac && other->mac && !strcasecmp(n->mac, other->mac))
		return err_set(e, -EINVAL, "mac: %s is that of item %u already", n->mac, i + 1);
	return 0;
}

int config_check_nets(const struct config *c, struct err *e)
{
	const struct net_config *nets = c->nets.items;
	uint32_t i, k;
	int r = 0;

	for (i = 0; i < c->nets.count; i++) {
		r = check_alone(&nets[i], e);
		if (!r)
			r = check_vhost(&nets[i], c->protection, e);
		for (k = 0; !r && k < i; k++)
			r = check_pair(&nets[i], &nets[k], k, e);
		if (r)
			return err_prefix(e, r, "net, item %u", i + 1);
	}
	return 0;
}
