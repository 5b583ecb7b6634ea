/* libcommon/manifest/index_ids.c - rows of a manifest that have one id; see index.h */
#include <stdio.h>
#include <string.h>

#include "libcommon/manifest/ids.h"
#include "libcommon/manifest/index.h"

struct pair_check { const struct manifest *m; const char *id_column; };

static int same_id(void *ctx, uint64_t a, uint64_t b, struct error *e)
{
    const struct pair_check *p = ctx;
    uint64_t row[2] = { a, b };
    struct buf id[2];
    int r = 0;
    for (int i = 0; i < 2; i++) {
        struct error why = { 0 };
        json_t *j = manifest_row(p->m, row[i], &why);
        char number[24];
        const char *text;
        size_t n;
        buf_init(&id[i], MANIFEST_ROW_MAX);
        if (!j && why.status == STATUS_AGAIN)
            r = error_set(e, why.status, "%s", why.text);
        if (j && manifest_id(j, p->id_column, number, &text, &n) == 1)
            buf_append(&id[i], text, n);
        else
            buf_printf(&id[i], "%s:%llu", p->m->title, (unsigned long long)p->m->place[row[i]].line);
        json_decref(j);
    }
    if (r == 0 && id[0].size == id[1].size && !memcmp(id[0].data, id[1].data, id[0].size))
        r = 1;
    buf_release(&id[0]);
    buf_release(&id[1]);
    return r;
}

int index_ids_check(const struct manifest *m, struct ids *ids, const char *id_column, struct error *e)
{
    uint64_t a, b;
    struct pair_check check = { m, id_column };
    int r = ids_check(ids, same_id, &check, &a, &b, e);
    if (r <= 0)
        return r;
    struct error why;
    json_t *row = manifest_row(m, a, &why);
    char number[24];
    const char *id = "";
    size_t n = 0;
    if (row)
        manifest_id(row, id_column, number, &id, &n);
    char own[512];
    if (!n) {                   /* it has none: another row's is what this one is named by */
        snprintf(own, sizeof own, "%s:%llu", m->title, (unsigned long long)m->place[a].line);
        id = own;
        n = strlen(own);
    }
    error_set(e, STATUS_BAD, "'%s': lines %llu and %llu have the same id '%.*s'; ids must differ", m->name,
              (unsigned long long)m->place[a].line, (unsigned long long)m->place[b].line, n < 200 ? (int)n : 200,
                  id ? id : "");
    json_decref(row);
    return -1;
}
