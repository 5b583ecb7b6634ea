/* libcommon/ckpt/remote.c - see remote.h
 *
 * Whatever is killed when, `latest` names a step whose marker is there, and a
 * marker is only there while all its files are: a step that is written anew first
 * loses `latest`, then its marker; one that is removed loses its marker first.
 *
 * A trainer that is started again after a kill makes the same bytes again.  So what
 * a kill left of a step stays until the next checkpoint comes: a file of that step
 * that is there already is only compared, one whose upload broke off is gone on with
 * (store.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/ckpt/remote_impl.h"
#include "libcommon/store/cache/mirror.h"
#include "libcommon/sys/crc32c.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/temporary.h"

enum { PIECE = 1 << 20 };

/* --- opening ---------------------------------------------------------------------------- */

static struct ckpt_remote *remote_new(const char *url, struct error *e)
{
    struct ckpt_remote *d = calloc(1, sizeof *d);
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    if (d)
        d->compare = -1;
    if (!d || !(d->url = strndup(url, n))) {
        ckpt_remote_close(d);
        error_memory(e);
        return NULL;
    }
    marker_init(&d->marker);
    return d;
}

struct ckpt_remote *ckpt_remote_open(const char *url, uint64_t limit, struct error *e)
{
    struct ckpt_remote *d = remote_new(url, e);
    uint64_t step;
    int bad = d ? remote_steps_read(d, e) : -1;
    if (d)
        d->limit = limit;
    if (!bad && remote_newest(d, UINT64_MAX, &step) && !(d->newest = remote_step_url(d, step, "")))
        bad = error_memory(e);
    if (!bad)
        return d;
    ckpt_remote_close(d);
    return NULL;
}

void ckpt_remote_close(struct ckpt_remote *d)
{
    if (!d)
        return;
    store_writer_abort(d->file);
    if (d->compare >= 0)
        close(d->compare);
    marker_release(&d->marker);
    free(d->steps);
    free(d->newest);
    free(d->url);
    free(d);
}

const char *ckpt_remote_newest(const struct ckpt_remote *d) { return d->newest; }

/* --- writing ------------------------------------------------------------------------------ */

/* A step of an abandoned run stops being a checkpoint before its files change.  What
 * a kill left of other steps goes. */
static int step_begin(struct ckpt_remote *d, uint64_t step, struct error *e)
{
    uint64_t before;
    bool there = false;
    int bad = 0;
    d->leftover = false;
    for (size_t i = 0; !bad && i < d->n; i++) {
        if (d->steps[i].complete)
            there |= d->steps[i].step == step;
        else if (d->steps[i].step == step)
            d->leftover = true;
        else
            bad = remote_step_remove(d, d->steps[i].step, e);
    }
    d->writing = true;
    marker_begin(&d->marker);
    if (bad || !there)
        return bad;
    char *latest = remote_latest_url(d);
    bad = !latest ? error_memory(e) : remote_newest(d, step, &before) ? remote_latest_point(d, before, e) :
          store_delete(latest, e);
    free(latest);
    return bad ? -1 : remote_step_remove(d, step, e);
}

/* --- files that may be there already --------------------------------------------------------- */

/* 1: an object of this size is there, and what comes is kept to be compared with it; 0: none; -1. */
static int compare_begin(struct ckpt_remote *d, const char *url, struct error *e)
{
    int found = store_stat(url, &d->there, e);
    if (found <= 0 || d->there.size != d->marker.size || !d->there.has_crc32c)
        return found < 0 ? -1 : 0;
    d->crc = 0;
    d->compare = temporary_file(e);
    return d->compare < 0 ? -1 : 1;
}

/* It is another one: from the temporary file. */
static int compared_write(struct ckpt_remote *d, int fd, struct error *e)
{
    char *url = remote_step_url(d, d->step, d->marker.name), *piece = malloc(PIECE);
    struct store_writer *w = url && piece ? store_writer_open(url, e) : NULL;
    int bad = !url || !piece ? error_memory(e) : w ? 0 : -1;
    for (uint64_t at = 0; !bad && at < d->marker.written;) {
        ssize_t n = pread(fd, piece, PIECE, (off_t)at);
        bad = n <= 0 ? error_set(e, STATUS_AGAIN, "cannot read a temporary file") :
              store_writer_append(w, piece, (size_t)n, e);
        at += n > 0 ? (uint64_t)n : 0;
    }
    if (bad)
        store_writer_abort(w);
    else
        bad = store_writer_commit(w, e);
    free(piece);
    free(url);
    return bad;
}

static int compare_end(struct ckpt_remote *d, struct error *e)
{
    int fd = d->compare, bad = 0;
    d->compare = -1;
    if (d->marker.written != d->there.size || d->crc != d->there.crc32c)
        bad = compared_write(d, fd, e);
    else
        note("'%s/step-%06" PRIu64 "/%s' is there already", d->url, d->step, d->marker.name);
    close(fd);
    return bad;
}

/* --- files ------------------------------------------------------------------------------------ */

static int file_finish(struct ckpt_remote *d, struct error *e)
{
    if (!d->file && d->compare < 0)
        return 0;
    struct store_writer *w = d->file;
    d->file = NULL;
    if ((w ? store_writer_commit(w, e) : compare_end(d, e)) < 0)
        return -1;
    return marker_file_end(&d->marker, e);
}

int ckpt_remote_file(struct ckpt_remote *d, uint64_t step, const char *name, uint64_t size, struct error *e)
{
    if ((!d->writing && step_begin(d, step, e) < 0) || file_finish(d, e) < 0)
        return -1;
    if (marker_file(&d->marker, name, size, e) < 0)
        return -1;
    d->step = step;
    char *url = remote_step_url(d, step, name);
    if (!url)
        return error_memory(e);
    int there = d->leftover ? compare_begin(d, url, e) : 0;
    if (!there)
        d->file = store_writer_open(url, e);
    free(url);
    return there < 0 || (!there && !d->file) ? -1 : 0;
}

int ckpt_remote_bytes(struct ckpt_remote *d, const void *data, size_t n, struct error *e)
{
    if (marker_room(&d->marker, n, e) < 0)
        return -1;
    if ((d->file ? store_writer_append(d->file, data, n, e) : temporary_write(d->compare, data, n, d->marker.name, e)) < 0)
        return -1;
    d->crc = crc32c(d->crc, data, n);
    marker_bytes(&d->marker, data, n);
    return 0;
}

int ckpt_remote_commit(struct ckpt_remote *d, uint64_t step, uint64_t best, struct error *e)
{
    if (!d->writing)
        return error_set(e, STATUS_BAD, "a checkpoint without files is committed");
    if (file_finish(d, e) < 0)
        return -1;
    if (marker_end(&d->marker, e) < 0)
        return -1;
    if (d->leftover && remote_step_tidy(d, step, e) < 0)
        return -1;
    char *url = remote_step_url(d, step, "complete.json"), *newest = remote_step_url(d, step, ""),
         *uploads = remote_step_prefix(d);
    int bad = !url || !newest || !uploads ? error_memory(e) :
              store_put(url, d->marker.text.data, d->marker.text.size, e);
    if (!bad)
        bad = remote_latest_point(d, step, e);
    if (!bad && store_uploads_drop(uploads, NULL) < 0)
        debug("'%s': uploads that a kill left may still be there", uploads);
    free(url);
    free(uploads);
    if (bad) {
        free(newest);
        return -1;
    }
    d->writing = false;
    free(d->newest);
    d->newest = newest;
    return remote_limit(d, step, best, e);
}

/* --- finding ------------------------------------------------------------------------------- */

int ckpt_remote_find(const char *url, char **found, struct error *e)
{
    uint64_t step;
    *found = NULL;
    struct ckpt_remote *d = remote_new(url, e);
    int r = d ? remote_steps_read(d, e) : -1;
    if (r == 0 && remote_newest(d, UINT64_MAX, &step)) {
        char *at = remote_step_url(d, step, "");
        r = !at ? error_memory(e) : store_mirror(at, found, e) < 0 ? -1 : 1;
        free(at);
    }
    ckpt_remote_close(d);
    return r;
}
