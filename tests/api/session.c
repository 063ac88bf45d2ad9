/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/session.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define ANSWER_MAX  ((size_t)1 << 20)
#define ARGS_MAX    16

static bool dial(struct session *s)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->sock);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return false;
	if (connect(s->fd, (struct sockaddr *)&a, sizeof(a))) {
		close(s->fd);
		s->fd = -1;
		return false;
	}
	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return true;
}

/* In the child. */
static void become(const struct session *s, const char *nacre, const char *const *args)
{
	const char *argv[ARGS_MAX] = { nacre, "api", "--api-sock", "api.sock" };
	int i, null = open("/dev/null", O_RDWR);
	int log;

	for (i = 0; args[i] && i < ARGS_MAX - 5; i++)
		argv[i + 4] = args[i];
	if (chdir(s->dir))
		_exit(126);
	log = open("output", O_CREAT | O_WRONLY | O_APPEND, 0600);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	execv(nacre, (char *const *)argv);
	_exit(127);
}

bool session_start(struct session *s, const char *nacre, const char *const *args)
{
	int ms;

	*s = (struct session){ .fd = -1, .dir = "/tmp/nacre-api.XXXXXX" };
	if (!mkdtemp(s->dir))
		return false;
	snprintf(s->sock, sizeof(s->sock), "%s/api.sock", s->dir);
	s->pid = fork();
	if (!s->pid)
		become(s, nacre, args);
	if (s->pid < 0)
		return false;
	for (ms = 0; ms < PATIENCE_MS && !dial(s); ms += 5) {
		if (waitpid(s->pid, NULL, WNOHANG)) {
			s->pid = 0;
			return false;
		}
		usleep(5000);
	}
	return s->fd >= 0;
}

static bool send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* Of a head that is complete: the status, the length of the body, and whether it goes on. */
static bool read_head(char *head, int *status, size_t *body, bool *closes)
{
	char *line, *rest = head;

	*body = 0;
	*closes = false;
	line = strsep(&rest, "\n");
	if (sscanf(line, "HTTP/1.1 %d ", status) != 1)
		return false;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (!strncasecmp(line, "Content-Length: ", 16))
			*body = strtoul(line + 16, NULL, 10);
		if (!strncasecmp(line, "Connection: close", 17))
			*closes = true;
	}
	return true;
}

static bool receive(struct session *s, struct answer *out)
{
	char *data = malloc(ANSWER_MAX + 1), *end = NULL;
	size_t used = 0, head = 0, body = 0;
	bool closes = false;

	while (data && (!end || used < head + body)) {
		ssize_t n = used < ANSWER_MAX ? recv(s->fd, data + used, ANSWER_MAX - used, 0) : 0;

		if (n <= 0)
			break;
		used += (size_t)n;
		data[used] = '\0';
		end = head ? end : strstr(data, "\r\n\r\n");
		if (!end || head)
			continue;
		head = (size_t)(end + 4 - data);
		*end = '\0';
		if (!read_head(data, &out->status, &body, &closes))
			break;
	}
	if (!end || used < head + body) {
		free(data);
		out->status = 0;
		return false;
	}
	out->len = body;
	out->body = strndup(data + head, body);
	free(data);
	if (closes) {
		close(s->fd);
		s->fd = -1;
	}
	return true;
}

/* The headers that curl sends, and SDKs much like it. */
bool session_request(struct session *s, const char *method, const char *path, const char *body,
	size_t len, struct answer *out)
{
	char head[512];
	int n;

	*out = (struct answer){ 0 };
	if (s->fd < 0 && !dial(s))
		return false;
	n = snprintf(head, sizeof(head),
		"%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.14.1\r\n"
		"Accept: application/json\r\n",
		method, path);
	if (body)
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			"Content-Type: application/json\r\nContent-Length: %zu\r\n", len);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	return send_all(s->fd, head, (size_t)n) && (!body || send_all(s->fd, body, len)) &&
	       receive(s, out);
}

const char *session_stop(struct session *s)
{
	int ms, status = 0;
	pid_t ended = 0;

	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	if (s->pid <= 0)
		return NULL;
	kill(s->pid, SIGTERM);
	for (ms = 0; ms < PATIENCE_MS && !ended; ms += 5) {
		ended = waitpid(s->pid, &status, WNOHANG);
		if (!ended)
			usleep(5000);
	}
	if (!ended) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, &status, 0);
	}
	s->pid = 0;
	if (!ended)
		return "it does not end when asked to";
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM)
		return "it does not end of the signal";
	return access(s->sock, F_OK) == 0 ? "its socket stays" : NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void session_free(struct session *s)
{
	session_stop(s);
	nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
