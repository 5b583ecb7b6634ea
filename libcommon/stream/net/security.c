/* libcommon/stream/net/security.c - see security.h */
#include "libcommon/stream/net/security.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/secret.h"

/* --- files -------------------------------------------------------------------------- */

static bool key_is(const char *text)
{
    uint8_t raw[32];
    return strlen(text) == KEY_TEXT - 1 && zmq_z85_decode(raw, text) != NULL;
}

int key_read(const char *path, char public_key[KEY_TEXT], char secret_key[KEY_TEXT], struct error *e)
{
    struct stat st;
    struct buf b;
    if (stat(path, &st) == 0 && (st.st_mode & 077))
        return error_set(e, STATUS_BAD, "'%s' holds a secret key, and others may read it: chmod 600 '%s'", path, path);
    buf_init(&b, 4096);
    int rc = file_read(path, &b, e);
    if (rc == 0 && (sscanf((const char *)b.data, "public %40s secret %40s", public_key, secret_key) != 2 ||
                    !key_is(public_key) || !key_is(secret_key)))
        rc = error_set(e, STATUS_BAD, "'%s' is no key of keygen", path);
    secret_release(&b);
    return rc;
}

int key_make(const char *path, char public_key[KEY_TEXT], struct error *e)
{
    char secret[KEY_TEXT], text[200];
    if (zmq_curve_keypair(public_key, secret) != 0)
        return error_set(e, STATUS_BAD, "this libzmq was built without CURVE");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return error_set(e, STATUS_BAD, "'%s' is there already, and is kept: name another file, or remove it", path);
    if (fd < 0)
        return error_set(e, error_errno_status(errno), "cannot make '%s': %s", path, strerror(errno));
    snprintf(text, sizeof text, "public %s\nsecret %s\n", public_key, secret);
    int rc = 0;
    if (file_write_all(fd, text, strlen(text)) < 0 || fsync(fd) < 0)
        rc = error_set(e, STATUS_AGAIN, "cannot write '%s': %s", path, strerror(errno));
    close(fd);
    secret_wipe(secret, sizeof secret);
    secret_wipe(text, sizeof text);
    return rc;
}

static int peer_add(struct security *s, const char *line, const char *path, int number, struct error *e)
{
    char key[64], role[16], rest[2];
    struct peer_key *p = &s->peer[s->n];
    int got = sscanf(line, "%63s %15s %63s %1s", key, role, p->name, rest);
    if (got < 1 || *key == '#')
        return 0;
    if (got != 3 || !key_is(key))
        return error_set(e, STATUS_BAD, "'%s' line %d: a key of 40 characters, a role and a name are wanted", path, number);
    for (unsigned r = 0; r < LP1_ROLES; r++)
        if (!strcmp(role, lp1_role_name((enum lp1_role)r))) {
            if (s->n == SECURITY_PEERS)
                return error_set(e, STATUS_BAD, "'%s': more than %d keys", path, SECURITY_PEERS);
            p->role = (enum lp1_role)r;
            memcpy(p->text, key, KEY_TEXT);
            s->n++;
            return 0;
        }
    return error_set(e, STATUS_BAD, "'%s' line %d: role '%s' is none of head, worker, tail, hub", path, number, role);
}

int peers_read(const char *path, struct security *s, struct error *e)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    int rc = file_read(path, &b, e), number = 1;
    s->peer = calloc(SECURITY_PEERS + 1, sizeof *s->peer);
    if (rc == 0 && !s->peer)
        rc = error_memory(e);
    for (char *at = (char *)b.data, *line; rc == 0 && at && *at && (line = strsep(&at, "\n")); number++)
        rc = peer_add(s, line, path, number, e);
    buf_release(&b);
    return rc;
}

void security_release(struct security *s)
{
    free(s->peer);
    secret_wipe(s, sizeof *s);
}

/* The only key of a role; *n: how many there are. */
static const struct peer_key *only_of(const struct security *s, enum lp1_role role, int *n)
{
    const struct peer_key *only = NULL;
    *n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->peer[i].role == role) {
            only = &s->peer[i];
            ++*n;
        }
    return *n == 1 ? only : NULL;
}

const struct peer_key *security_server(const struct security *s, const char *endpoint, unsigned roles, struct error *e)
{
    const char *host = strstr(endpoint, "://"), *colon = strrchr(endpoint, ':');
    int n = 0, hubs = 0;
    host = host ? host + 3 : endpoint;
    for (size_t i = 0; colon > host && i < s->n; i++) {
        const struct peer_key *p = &s->peer[i];
        if ((roles >> p->role & 1) && strlen(p->name) == (size_t)(colon - host) &&
            !memcmp(p->name, host, (size_t)(colon - host)))
            return p;
    }
    const struct peer_key *p = only_of(s, roles >> LP1_HEAD & 1 ? LP1_HEAD : LP1_TAIL, &n);
    if (!p && !n)
        p = only_of(s, LP1_HUB, &hubs);
    if (!p)
        error_set(e, STATUS_BAD, n + hubs ? "'%s': several keys have its role: name one of them in --curve-peers as "
                                            "its host" :
                  "'%s': --curve-peers has no key with its role", endpoint);
    return p;
}

/* --- ZAP (RFC 27) ---------------------------------------------------------------------- */

enum { ZAP_FRAMES = 8 };

static void frame_send(void *socket, const char *text,
                       bool more) { zmq_send(socket, text, strlen(text), more ? ZMQ_SNDMORE : 0); }

static const struct peer_key *admitted(const struct security *s, const char *mechanism, const uint8_t *raw, size_t n)
{
    char text[KEY_TEXT];
    if (strcmp(mechanism, "CURVE") || n != 32 || !zmq_z85_encode(text, raw, 32))
        return NULL;
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->peer[i].text, text))
            return &s->peer[i];
    return NULL;
}

static void *zap_thread(void *arg)
{
    struct security *s = arg;                       /* there as long as the context is */
    for (;;) {
        char frame[ZAP_FRAMES][256];
        size_t size[ZAP_FRAMES] = { 0 };
        int n = 0, more = 1;
        size_t len = sizeof more;
        while (more) {
            int got = zmq_recv(s->zap, frame[n < ZAP_FRAMES ? n : 0], 255, 0);
            if (got < 0 && errno != EINTR) {            /* the context ends */
                zmq_close(s->zap);
                return NULL;
            }
            if (got < 0)
                continue;
            if (n < ZAP_FRAMES) {
                size[n] = got < 255 ? (size_t)got : 255;
                frame[n][size[n]] = 0;
            }
            n++;
            zmq_getsockopt(s->zap, ZMQ_RCVMORE, &more, &len);
        }
        /* version, request id, domain, address, routing id, mechanism, key */
        const struct peer_key *p = n == 7 && !strcmp(frame[0], "1.0") && !strcmp(frame[2], "penstock") ?
            admitted(s, frame[5], (const uint8_t *)frame[6], size[6]) : NULL;
        if (!p)
            debug("a connection from %.60s is refused: its key is not in the list", n > 3 ? frame[3] : "?");
        frame_send(s->zap, "1.0", true);
        zmq_send(s->zap, frame[1], size[1], ZMQ_SNDMORE);
        frame_send(s->zap, p ? "200" : "400", true);
        frame_send(s->zap, p ? "OK" : "no", true);
        frame_send(s->zap, p ? lp1_role_name(p->role) : "", true);
        frame_send(s->zap, "", false);
    }
}

int security_serve(struct security *s, void *context, struct error *e)
{
    pthread_t thread;
    if (s->zap)
        return 0;
    s->zap = zmq_socket(context, ZMQ_REP);
    if (!s->zap || zmq_bind(s->zap, "inproc://zeromq.zap.01") < 0)
        return error_set(e, STATUS_AGAIN, "cannot serve ZAP: %s", zmq_strerror(errno));
    if (pthread_create(&thread, NULL, zap_thread, s))
        return error_set(e, STATUS_AGAIN, "cannot start a thread");
    pthread_detach(thread);
    return 0;
}

/* --- addresses ------------------------------------------------------------------------------ */

bool address_is_loopback(const char *endpoint)
{
    static const char *const hosts[] = { "tcp://127.0.0.1:", "tcp://localhost:", "tcp://[::1]:", "tcp://lo:" };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (!strncmp(endpoint, hosts[i], strlen(hosts[i])))
            return true;
    return false;
}

int ipc_check(const char *endpoint, struct error *e)
{
    const char *path = endpoint + strlen("ipc://"), *slash = strrchr(path, '/');
    char dir[128] = ".";
    struct stat st;
    if (strlen(path) > 107)
        return error_set(e, STATUS_BAD, "'%s': a socket's path has at most 107 bytes", endpoint);
    if (slash)
        snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (stat(dir, &st) < 0)
        return error_set(e, error_errno_status(errno), "cannot use '%s': %s", endpoint, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & 077))
        return error_set(e, STATUS_BAD, "'%s': its directory must be yours and closed to others: chmod 700 '%s'",
                         endpoint, dir);
    return 0;
}
