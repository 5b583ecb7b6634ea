/* libcommon/ckpt/remote_steps.c - which checkpoints a store has, and which leave; see remote.h */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/ckpt/remote_impl.h"

char *remote_step_url(const struct ckpt_remote *d, uint64_t step, const char *name)
{
    char *url;
    return asprintf(&url, "%s/step-%06" PRIu64 "/%s", d->url, step, name) < 0 ? NULL : url;
}

char *remote_step_prefix(const struct ckpt_remote *d)
{
    char *url;
    return asprintf(&url, "%s/step-", d->url) < 0 ? NULL : url;
}

char *remote_latest_url(const struct ckpt_remote *d)
{
    char *url;
    return asprintf(&url, "%s/latest", d->url) < 0 ? NULL : url;
}

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
        struct remote_step *more = realloc(d->steps, (d->n + 1) * sizeof *more);
        if (!more)
            return -1;
        d->steps = more;
        while (at > 0 && d->steps[at - 1].step > step) {
            d->steps[at] = d->steps[at - 1];
            at--;
        }
        d->steps[at] = (struct remote_step){ step, false };
        d->n++;
    }
    d->steps[at].complete |= !strcmp(end, "/complete.json");
    return 0;
}

int remote_steps_read(struct ckpt_remote *d, struct error *e)
{
    char *prefix = remote_step_prefix(d);
    struct error why = { 0 };
    if (!prefix)
        return error_memory(e);
    d->n = 0;
    int bad = store_list(prefix, step_seen, d, &why);
    free(prefix);
    return bad ? error_set(e, why.status ? why.status : STATUS_AGAIN, "%s", why.status ? why.text : "out of memory") : 0;
}

bool remote_newest(const struct ckpt_remote *d, uint64_t except, uint64_t *step)
{
    char *url = remote_latest_url(d);
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

int remote_step_remove(struct ckpt_remote *d, uint64_t step, struct error *e)
{
    char *marker = remote_step_url(d, step, "complete.json"), *all = remote_step_url(d, step, "");
    struct error why = { 0 };
    int bad = !marker || !all ? error_memory(&why) : store_delete(marker, &why);
    if (!bad)
        bad = store_list(all, delete_one, &why, &why);
    free(marker);
    free(all);
    return bad ? error_set(e, why.status, "%s", why.text) : 0;
}

int remote_latest_point(struct ckpt_remote *d, uint64_t step, struct error *e)
{
    char *url = remote_latest_url(d), text[40];
    int n = snprintf(text, sizeof text, "step-%06" PRIu64 "\n", step);
    int bad = url ? store_put(url, text, (size_t)n, e) : error_memory(e);
    free(url);
    return bad;
}

struct tidy { struct ckpt_remote *d; size_t prefix; struct error *e; };

static int tidy_one(void *ctx, const char *url, const struct object_info *i)
{
    (void)i;
    struct tidy *t = ctx;
    char entry[CKPT_NAME + 8];
    int n = snprintf(entry, sizeof entry, "\n  \"%s\": ", url + t->prefix);
    bool named = n > 0 && (size_t)n < sizeof entry && memmem(t->d->marker.text.data, t->d->marker.text.size, entry, (size_t)n);
    return named ? 0 : store_delete(url, t->e);
}

int remote_step_tidy(struct ckpt_remote *d, uint64_t step, struct error *e)
{
    char *all = remote_step_url(d, step, "");
    struct error why = { 0 };
    struct tidy t = { d, all ? strlen(all) : 0, &why };
    int bad = all ? store_list(all, tidy_one, &t, &why) : error_memory(&why);
    free(all);
    return bad ? error_set(e, why.status, "%s", why.text) : 0;
}

int remote_limit(struct ckpt_remote *d, uint64_t newest, uint64_t best, struct error *e)
{
    uint64_t spared = best && best != newest ? 2 : 1, keep = d->limit > spared ? d->limit - spared : 0;
    int bad = remote_steps_read(d, e);
    for (size_t i = d->n; !bad && d->limit && i-- > 0;) {
        uint64_t step = d->steps[i].step;
        if (step == newest || (best && step == best))
            continue;
        if (step < newest && keep)
            keep--;
        else
            bad = remote_step_remove(d, step, e);
    }
    return bad;
}
