/* libcommon/ckpt/remote.c - see remote.h
 *
 * Whatever is killed when, `latest` names a step whose marker is there, and a
 * marker is only there while all its files are: a step that is written anew first
 * loses `latest`, then its marker; one that is removed loses its marker first. */
#include "libcommon/ckpt/remote.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/store/mirror.h"
#include "libcommon/store/store.h"

struct step { uint64_t step; bool complete; };

struct ckpt_remote {
    char *url;                  /* without a slash at its end */
    uint64_t limit;
    struct step *steps;         /* what is there, ascending */
    size_t n;
    char *newest;
    bool writing;               /* a checkpoint is begun */
    struct buf marker;
    uint64_t files;
    struct store_writer *file;  /* being written */
    char name[CKPT_NAME + 1];
    uint64_t size, written;
    EVP_MD_CTX *sha;
};

static int memory(struct error *e) { return error_set(e, STATUS_AGAIN, "out of memory"); }

static char *step_url(const struct ckpt_remote *d, uint64_t step, const char *name)
{
    char *url;
    return asprintf(&url, "%s/step-%06" PRIu64 "/%s", d->url, step, name) < 0 ? NULL : url;
}

static char *latest_url(const struct ckpt_remote *d)
{
    char *url;
    return asprintf(&url, "%s/latest", d->url) < 0 ? NULL : url;
}

/* --- what is there ------------------------------------------------------------------ */

static int step_seen(void *ctx, const char *url, const struct object_info *i)
{
    (void)i;
    struct ckpt_remote *d = ctx;
    const char *name = url + strlen(d->url) + 1;
    char *end, again[64];
    if (strncmp(name, "step-", 5) || name[5] < '0' || name[5] > '9')
        return 0;
    uint64_t step = strtoull(name + 5, &end, 10);
    snprintf(again, sizeof again, "step-%06" PRIu64 "/", step);
    if (strncmp(name, again, strlen(again)))
        return 0;
    size_t at = 0;
    while (at < d->n && d->steps[at].step != step)
        at++;
    if (at == d->n) {
        struct step *more = realloc(d->steps, (d->n + 1) * sizeof *more);
        if (!more)
            return -1;
        d->steps = more;
        while (at > 0 && d->steps[at - 1].step > step) {
            d->steps[at] = d->steps[at - 1];
            at--;
        }
        d->steps[at] = (struct step){ step, false };
        d->n++;
    }
    d->steps[at].complete |= !strcmp(end, "/complete.json");
    return 0;
}

static int steps_read(struct ckpt_remote *d, struct error *e)
{
    char *prefix;
    struct error why = { 0 };
    if (asprintf(&prefix, "%s/step-", d->url) < 0)
        return memory(e);
    d->n = 0;
    int bad = store_list(prefix, step_seen, d, &why);
    free(prefix);
    return bad ? error_set(e, why.status ? why.status : STATUS_AGAIN, "%s", why.status ? why.text : "out of memory") : 0;
}

/* The complete step that latest names, else the highest that is complete. */
static bool newest_step(const struct ckpt_remote *d, uint64_t except, uint64_t *step)
{
    char *url = latest_url(d);
    struct buf b;
    struct error e;
    uint64_t named = UINT64_MAX;
    bool found = false;
    buf_init(&b, 64);
    if (url && store_stat(url, NULL, &e) == 1 && store_get(url, &b, &e) == 0 && b.size > 5 && !memcmp(b.data, "step-", 5)) {
        buf_append(&b, "", 1);
        if (!b.failed)
            named = strtoull((char *)b.data + 5, NULL, 10);
    }
    for (size_t i = 0; i < d->n; i++)
        if (d->steps[i].complete && d->steps[i].step != except && (!found || *step != named)) {
            *step = d->steps[i].step;
            found = true;
        }
    buf_release(&b);
    free(url);
    return found;
}

static int delete_one(void *ctx, const char *url, const struct object_info *i)
{
    (void)i;
    return store_delete(url, ctx);
}

static int step_remove(struct ckpt_remote *d, uint64_t step, struct error *e)
{
    char *marker = step_url(d, step, "complete.json"), *all = step_url(d, step, "");
    struct error why = { 0 };
    int bad = !marker || !all ? memory(&why) : store_delete(marker, &why);
    if (!bad)
        bad = store_list(all, delete_one, &why, &why);
    free(marker);
    free(all);
    return bad ? error_set(e, why.status, "%s", why.text) : 0;
}

static int latest_point(struct ckpt_remote *d, uint64_t step, struct error *e)
{
    char *url = latest_url(d), text[40];
    int n = snprintf(text, sizeof text, "step-%06" PRIu64 "\n", step), bad = url ? store_put(url, text, (size_t)n, e) : memory(e);
    free(url);
    return bad;
}

/* --- opening ---------------------------------------------------------------------------- */

static struct ckpt_remote *remote_new(const char *url, struct error *e)
{
    struct ckpt_remote *d = calloc(1, sizeof *d);
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    if (!d || !(d->url = strndup(url, n)) || !(d->sha = EVP_MD_CTX_new())) {
        ckpt_remote_close(d);
        memory(e);
        return NULL;
    }
    buf_init(&d->marker, 1 << 20);
    return d;
}

struct ckpt_remote *ckpt_remote_open(const char *url, uint64_t limit, struct error *e)
{
    struct ckpt_remote *d = remote_new(url, e);
    uint64_t step;
    int bad = d ? steps_read(d, e) : -1;
    if (d)
        d->limit = limit;
    for (size_t i = 0; !bad && i < d->n; i++)
        if (!d->steps[i].complete)      /* what a kill left */
            bad = step_remove(d, d->steps[i].step, e);
    if (!bad && newest_step(d, UINT64_MAX, &step) && !(d->newest = step_url(d, step, "")))
        bad = memory(e);
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
    EVP_MD_CTX_free(d->sha);
    buf_release(&d->marker);
    free(d->steps);
    free(d->newest);
    free(d->url);
    free(d);
}

const char *ckpt_remote_newest(const struct ckpt_remote *d) { return d->newest; }

/* --- writing ------------------------------------------------------------------------------ */

/* A step of an abandoned run stops being a checkpoint before its files change. */
static int step_begin(struct ckpt_remote *d, uint64_t step, struct error *e)
{
    uint64_t before;
    bool there = false;
    for (size_t i = 0; i < d->n; i++)
        there |= d->steps[i].step == step && d->steps[i].complete;
    d->writing = true;
    d->files = 0;
    buf_clear(&d->marker);
    buf_printf(&d->marker, "{\"files\": {");
    if (!there)
        return 0;
    char *latest = latest_url(d);
    int bad = !latest ? memory(e) : newest_step(d, step, &before) ? latest_point(d, before, e) : store_delete(latest, e);
    free(latest);
    return bad ? -1 : step_remove(d, step, e);
}

static int file_finish(struct ckpt_remote *d, struct error *e)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!d->file)
        return 0;
    struct store_writer *w = d->file;
    d->file = NULL;
    if (store_writer_commit(w, e) < 0)
        return -1;
    if (!EVP_DigestFinal_ex(d->sha, digest, &n))
        return error_set(e, STATUS_AGAIN, "cannot compute the SHA-256 of '%s'", d->name);
    buf_printf(&d->marker, "%s\n  \"%s\": {\"size\": %" PRIu64 ", \"sha256\": \"", d->files++ ? "," : "", d->name, d->written);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&d->marker, "%02x", digest[i]);
    buf_printf(&d->marker, "\"}");
    return 0;
}

int ckpt_remote_file(struct ckpt_remote *d, uint64_t step, const char *name, uint64_t size, struct error *e)
{
    if ((!d->writing && step_begin(d, step, e) < 0) || file_finish(d, e) < 0)
        return -1;
    if (!strcmp(name, "complete.json"))
        return error_set(e, STATUS_BAD, "a checkpoint may not bring its own 'complete.json'");
    snprintf(d->name, sizeof d->name, "%s", name);
    d->size = size;
    d->written = 0;
    char *url = step_url(d, step, name);
    if (!url || !EVP_DigestInit_ex(d->sha, EVP_sha256(), NULL)) {
        free(url);
        return memory(e);
    }
    d->file = store_writer_open(url, e);
    free(url);
    return d->file ? 0 : -1;
}

int ckpt_remote_bytes(struct ckpt_remote *d, const void *data, size_t n, struct error *e)
{
    if (!d->file || n > d->size - d->written)
        return error_set(e, STATUS_BAD, "bytes of a checkpoint belong to no file");
    if (store_writer_append(d->file, data, n, e) < 0)
        return -1;
    if (!EVP_DigestUpdate(d->sha, data, n))
        return error_set(e, STATUS_AGAIN, "cannot compute the SHA-256 of '%s'", d->name);
    d->written += n;
    return 0;
}

/* The rule of steps_limit: the newest, the best, then the latest before it. */
static int limit_apply(struct ckpt_remote *d, uint64_t newest, uint64_t best, struct error *e)
{
    uint64_t spared = best && best != newest ? 2 : 1, keep = d->limit > spared ? d->limit - spared : 0;
    int bad = steps_read(d, e);
    for (size_t i = d->n; !bad && d->limit && i-- > 0;) {
        uint64_t step = d->steps[i].step;
        if (step == newest || (best && step == best))
            continue;
        if (step < newest && keep)
            keep--;
        else
            bad = step_remove(d, step, e);
    }
    return bad;
}

int ckpt_remote_commit(struct ckpt_remote *d, uint64_t step, uint64_t best, struct error *e)
{
    if (!d->writing)
        return error_set(e, STATUS_BAD, "a checkpoint without files is committed");
    if (file_finish(d, e) < 0)
        return -1;
    buf_printf(&d->marker, "\n}}\n");
    char *url = step_url(d, step, "complete.json"), *newest = step_url(d, step, "");
    int bad = !url || !newest || d->marker.failed ? memory(e) : store_put(url, d->marker.data, d->marker.size, e);
    free(url);
    if (!bad)
        bad = latest_point(d, step, e);
    if (bad) {
        free(newest);
        return -1;
    }
    d->writing = false;
    free(d->newest);
    d->newest = newest;
    return limit_apply(d, step, best, e);
}

/* --- finding ------------------------------------------------------------------------------- */

int ckpt_remote_find(const char *url, char **found, struct error *e)
{
    uint64_t step;
    *found = NULL;
    struct ckpt_remote *d = remote_new(url, e);
    int r = d ? steps_read(d, e) : -1;
    if (r == 0 && newest_step(d, UINT64_MAX, &step)) {
        char *at = step_url(d, step, "");
        r = !at ? memory(e) : store_mirror(at, found, e) < 0 ? -1 : 1;
        free(at);
    }
    ckpt_remote_close(d);
    return r;
}
