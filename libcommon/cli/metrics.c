/* libcommon/cli/metrics.c - see metrics.h */
#include "libcommon/cli/metrics.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct metrics {
    int fd;
    const char *path;
    struct buf line;
};

struct metrics *metrics_open(const char *path, struct error *e)
{
    e->status = STATUS_OK;
    if (!path)
        return NULL;
    struct metrics *m = calloc(1, sizeof *m);
    if (!m) {
        error_memory(e);
        return NULL;
    }
    m->path = path;
    m->fd = strcmp(path, "-") ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : STDERR_FILENO;
    if (m->fd < 0) {
        error_set(e, error_errno_status(errno), "cannot write metrics to '%s': %s", path, strerror(errno));
        free(m);
        return NULL;
    }
    buf_init(&m->line, 1 << 20);
    return m;
}

void metrics_begin(struct metrics *m)
{
    if (m)
        buf_clear(&m->line);
}

static void key_put(struct metrics *m, const char *key)
{
    buf_append(&m->line, m->line.size ? ", " : "{", m->line.size ? 2 : 1);
    text_put_json(&m->line, key, strlen(key));
    buf_append(&m->line, ": ", 2);
}

void metrics_int(struct metrics *m, const char *key, int64_t v)
{
    if (!m)
        return;
    key_put(m, key);
    buf_printf(&m->line, "%lld", (long long)v);
}

void metrics_real(struct metrics *m, const char *key, double v)
{
    if (!m)
        return;
    key_put(m, key);
    text_put_json_real(&m->line, v);
}

void metrics_str(struct metrics *m, const char *key, const char *v)
{
    if (!m)
        return;
    key_put(m, key);
    text_put_json(&m->line, v, strlen(v));
}

int metrics_end(struct metrics *m, struct error *e)
{
    if (!m)
        return 0;
    if (!m->line.size)
        buf_append(&m->line, "{", 1);
    buf_append(&m->line, "}\n", 2);
    if (m->line.failed)
        return error_set(e, STATUS_AGAIN, "cannot write metrics to '%s': out of memory", m->path);
    if (file_write_all(m->fd, m->line.data, m->line.size) < 0)
        return error_set(e, error_errno_status(errno), "cannot write metrics to '%s': %s", m->path, strerror(errno));
    return 0;
}

void metrics_close(struct metrics *m)
{
    if (!m)
        return;
    if (m->fd != STDERR_FILENO)
        close(m->fd);
    buf_release(&m->line);
    free(m);
}

uint64_t peak_memory_bytes(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) < 0 || use.ru_maxrss < 0)
        return 0;
#ifdef __APPLE__
    return (uint64_t)use.ru_maxrss;         /* bytes there, kilobytes elsewhere */
#else
    return (uint64_t)use.ru_maxrss * 1024;
#endif
}
