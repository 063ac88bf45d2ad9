/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/api/server_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include "vmm/util/fd.h"

/* ---- requests ---- */

static void on_answered(struct evhttp_request *ev, void *ctx)
{
	struct conn *c = server_find_conn(ctx, ev);

	if (c)
		server_end_request(c);
}

void server_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len)
{
	struct evhttp_request *ev = ((struct request *)rq)->ev;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);

	evhttp_add_header(headers, "Server", "Nacre API");
	if (type)
		evhttp_add_header(headers, "Content-Type", type);
	if (len)
		evbuffer_add(evhttp_request_get_output_buffer(ev), body, len);
	evhttp_send_reply(ev, status, NULL, NULL);
}

void server_fault(struct server_request *rq, int status, const char *text)
{
	json_t *o = json_pack("{s:s}", "fault_message", text);
	_free char *body = NULL;

	if (!o)
		o = json_pack("{s:s}", "fault_message", "The error cannot be told in UTF-8.");
	body = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	server_reply(rq, status, "application/json", body, body ? strlen(body) : 0);
}

static void set_method(struct server_request *rq, enum evhttp_cmd_type type)
{
	switch (type) {
	case EVHTTP_REQ_GET:
		rq->method = HTTP_GET;
		rq->method_name = "GET";
		break;
	case EVHTTP_REQ_PUT:
		rq->method = HTTP_PUT;
		rq->method_name = "PUT";
		break;
	case EVHTTP_REQ_PATCH:
		rq->method = HTTP_PATCH;
		rq->method_name = "PATCH";
		break;
	default:
		rq->method = HTTP_OTHER;
		rq->method_name = type == EVHTTP_REQ_POST     ? "POST"
				  : type == EVHTTP_REQ_DELETE ? "DELETE"
							      : "OTHER";
		break;
	}
}

/* "//x" names a host where evhttp parses it; nobody's path begins so. "*" is no path either. */
static const char *path_of(const struct evhttp_request *ev)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(ev));

	if (!strncmp(evhttp_request_get_uri(ev), "//", 2) || (path && *path && *path != '/'))
		return "//";
	return path && *path ? path : "/";
}

/* evhttp takes the first length; whoever took the other sees another request behind it. */
static bool has_two_lengths(struct evhttp_request *ev)
{
	const char *first = NULL;
	const struct evkeyval *h;

	TAILQ_FOREACH(h, evhttp_request_get_input_headers(ev), next)
	{
		if (strcasecmp(h->key, "Content-Length") != 0)
			continue;
		if (first && strcmp(first, h->value) != 0)
			return true;
		first = h->value;
	}
	return false;
}

static void on_request(struct evhttp_request *ev, void *ctx)
{
	struct server *s = ctx;
	struct evbuffer *in = evhttp_request_get_input_buffer(ev);
	struct request r = { .ev = ev, .server = s };
	char text[128];

	evhttp_request_set_on_complete_cb(ev, on_answered, s);
	set_method(&r.rq, evhttp_request_get_command(ev));
	r.rq.path = path_of(ev);
	r.rq.query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(ev));
	if (has_two_lengths(ev)) {
		evhttp_add_header(evhttp_request_get_output_headers(ev), "Connection", "close");
		server_fault(&r.rq, 400, "Content-Length is given twice, with different values.");
		return;
	}
	r.rq.body_len = evbuffer_get_length(in);
	r.rq.body = r.rq.body_len ? (const char *)evbuffer_pullup(in, -1) : "";
	if (r.rq.body_len > s->cfg.max_body) {
		snprintf(text, sizeof(text),
			"Request payload with size %zu is larger than the limit of %zu allowed by "
			"server.",
			r.rq.body_len, s->cfg.max_body);
		server_fault(&r.rq, 413, text);
		return;
	}
	s->cfg.handle(s->cfg.ctx, &r.rq);
}

/* ---- life ---- */

/* Guests' devices need descriptors too. */
static unsigned int max_connections(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur / 2 >= SERVER_CONNECTIONS)
		return SERVER_CONNECTIONS;
	return (unsigned int)limit.rlim_cur / 2;
}

static int start_http(struct server *s, struct err *e)
{
	struct evhttp_bound_socket *bound;

	s->http = evhttp_new(loop_base(s->cfg.loop));
	if (!s->http)
		return err_set(e, -ENOMEM, "API socket: out of memory");
	/* All methods, so that those we do not have are answered like other mistakes. */
	evhttp_set_allowed_methods(s->http, 0xffff);
	evhttp_set_max_headers_size(s->http, SERVER_HEAD_MAX);
	evhttp_set_max_body_size(s->http, (ev_ssize_t)(SERVER_BODY_FACTOR * s->cfg.max_body));
	evhttp_set_timeout(s->http, SERVER_IDLE_S);
	evhttp_set_flags(s->http, EVHTTP_SERVER_LINGERING_CLOSE);
	evhttp_set_default_content_type(s->http, NULL);
	evhttp_set_bevcb(s->http, server_make_bev, s);
	evhttp_set_gencb(s->http, on_request, s);
	bound = evhttp_accept_socket_with_handle(s->http, s->sock.fd);
	if (!bound)
		return err_set(e, -ENOMEM, "API socket: out of memory");
	/* From here on it is closed by its new owner. */
	fd_steal(&s->sock.fd);
	s->listener = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(s->listener, server_accept_error);
	return 0;
}

int server_new(struct server **out, const struct server_config *cfg, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "API socket: out of memory");
	s->cfg = *cfg;
	if (!s->cfg.request_ms)
		s->cfg.request_ms = SERVER_REQUEST_MS;
	s->sock.fd = -1;
	s->max = max_connections();
	r = loop_add_timer(cfg->loop, server_sweep, s, &s->sweep, e);
	if (!r)
		r = loop_add_timer(cfg->loop, server_stream_again, s, &s->again, e);
	if (!r)
		r = sock_listen(&s->sock, cfg->path, e);
	if (!r)
		r = start_http(s, e);
	if (r) {
		server_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	if (s->http)
		evhttp_free(s->http);
	while (s->first)
		server_conn_free(s->first);
	/* A connection that evhttp does not think alive ends without a word. */
	if (s->stream.ev)
		server_stream_end(s);
	loop_event_free(s->sweep);
	loop_event_free(s->again);
	sock_close(&s->sock);
	free(s);
}
