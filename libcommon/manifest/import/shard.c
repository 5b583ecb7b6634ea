/* libcommon/manifest/import/shard.c - a WebDataset shard as rows
 *
 * https://github.com/webdataset/webdataset: members whose names agree up to the
 * first dot of the last part are one sample, and stand together.  Ids are
 * SHARD/NAME, because names begin anew in each shard. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/format/json.h"
#include "libcommon/format/tar.h"
#include "libcommon/manifest/import/import_impl.h"
#include "libcommon/store/store.h"

enum { WINDOW_LOCAL = 16 << 10, WINDOW_REMOTE = 8 << 20, WINDOW_HEADER = 64 << 10, LARGE = 4 << 20, TEXT_MAX = 16 << 20 };

struct shard {
    const char *path;           /* or URL */
    size_t base;                /* so much of it is the directory of all */
    const char *title;
    struct object *object;
    uint64_t generation;        /* to be pinned; 0: none */
    uint64_t last;              /* size of the last member */
    uint8_t *window;            /* bytes [begin, begin + filled) */
    size_t room, filled;
    uint64_t begin;
    int fd;
    json_t *row;                /* being gathered, or NULL */
    char key[TAR_NAME];
};

/* Headers are small and not far apart: a window saves requests.  Between large members
 * only headers are read. */
static int shard_read(void *ctx, uint64_t offset, size_t n, void *to, struct error *e)
{
    struct shard *s = ctx;
    uint64_t left = object_info(s->object)->size - offset;
    if (n > s->room)
        return object_read(s->object, offset, n, to, e);
    if (offset < s->begin || offset + n > s->begin + s->filled) {
        size_t most = s->last >= LARGE && s->room > WINDOW_HEADER && n <= WINDOW_HEADER ? WINDOW_HEADER : s->room;
        size_t want = left < most ? (size_t)left : most;
        s->filled = 0;
        if (object_read(s->object, offset, want, s->window, e) < 0)
            return -1;
        s->begin = offset;
        s->filled = want;
    }
    memcpy(to, s->window + (offset - s->begin), n);
    return 0;
}

static int row_write(struct shard *s, struct error *e)
{
    if (!s->row)
        return 0;
    json_t *row = s->row;
    s->row = NULL;
    return import_row_write(s->fd, row, s->path, e);
}

static bool one_of(const char *word, const char *list)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strcasestr(at, word)); at++)
        if (n && (at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
            return true;
    return false;
}

/* A text or JSON member becomes columns of the row. */
static int text_add(struct shard *s, const struct tar_member *m, const char *kind, struct error *e)
{
    if (m->size > TEXT_MAX)
        return error_set(e, STATUS_BAD, "'%s': its member '%s' has more than %d MiB", s->path, m->name, TEXT_MAX >> 20);
    char *text = malloc((size_t)m->size + 1);
    if (!text)
        return error_memory(e);
    int bad = shard_read(s, m->offset, (size_t)m->size, text, e);
    json_t *v = NULL;
    json_error_t why;
    size_t n = (size_t)m->size;
    if (!bad && !strcasecmp(kind, "json")) {
        v = json_load_row(span_of(text, n), &why);
        if (json_is_object(v))
            json_object_update_missing(s->row, v);
        else
            json_object_set_new(s->row, "audio", json_pack("{s:s}", "error", "its JSON member is none"));
        json_decref(v);
    } else if (!bad) {
        while (n && strchr("\r\n", text[n - 1]))
            n--;
        v = json_stringn(text, n);
        json_object_set_new(s->row, v ? "text" : "audio", v ? v : json_pack("{s:s}", "error", "its text is not UTF-8"));
    }
    free(text);
    return bad;
}

static int member_add(struct shard *s, const struct tar_member *m, struct error *e)
{
    const char *slash = strrchr(m->name, '/'), *dot = strchr(slash ? slash : m->name, '.');
    if (!dot || (slash ? slash[1] : m->name[0]) == '.')
        return 0;               /* no kind; or what file managers leave */
    size_t n = (size_t)(dot - m->name);
    const char *kind = strrchr(dot, '.') + 1;
    if (!s->row || strlen(s->key) != n || strncmp(s->key, m->name, n)) {
        if (row_write(s, e) < 0)
            return -1;
        memcpy(s->key, m->name, n);
        s->key[n] = 0;
        char id[2 * TAR_NAME];
        snprintf(id, sizeof id, "%.*s/%s", (int)strcspn(s->title, "."), s->title, s->key);
        s->row = json_object();
        json_t *name = json_string(id);
        if (name)
            json_object_set_new(s->row, "id", name);
        else
            json_object_set_new(s->row, "audio", json_pack("{s:s}", "error", "its name is not UTF-8"));
    }
    if (one_of(kind, "txt text json"))
        return text_add(s, m, kind, e);
    const char *field = one_of(kind, "wav flac mp3 ogg opus oga aiff aif au m4a") ? "audio" :
                        one_of(kind, "jpg jpeg png webp gif bmp ppm") ? "image" : NULL;
    json_t *place = !field ? NULL : json_pack("{s:s,s:I,s:I}", "path", s->path + s->base, "at", (json_int_t)m->offset,
                                              "size", (json_int_t)m->size);
    if (place && s->generation)
        json_object_set_new(place, "generation", json_integer((json_int_t)s->generation));
    if (json_object_get(json_object_get(s->row, "audio"), "error"))
        json_decref(place);     /* of a member before: it stays */
    else if (place)
        json_object_set_new(s->row, field, place);
    return 0;
}

/* All members; what is damaged ends the shard with a row that says so. */
static int shard_walk(struct shard *s, struct error *e)
{
    struct tar t = { .read = shard_read, .ctx = s, .size = object_info(s->object)->size };
    struct tar_member m;
    struct error why = { 0 };
    int r;
    while ((r = tar_next(&t, &m, &why)) > 0) {
        if (member_add(s, &m, e) < 0)
            return -1;
        s->last = m.size;
    }
    if (r < 0 && why.status == STATUS_AGAIN)
        return error_set(e, why.status, "%s", why.text);
    if (row_write(s, e) < 0)
        return -1;
    if (r < 0) {
        char id[TAR_NAME], text[1200];
        snprintf(id, sizeof id, "%.*s/%llu", (int)strcspn(s->title, "."), s->title, (unsigned long long)t.at);
        snprintf(text, sizeof text, "'%s': %s", s->path, why.text);
        s->row = json_pack("{s:s,s:{s:s}}", "id", id, "audio", "error", text);
        return row_write(s, e);
    }
    return 0;
}

int import_shard(const char *path, size_t base, uint64_t generation, int fd, struct error *e)
{
    const char *slash = strrchr(path, '/');
    struct shard s = { .path = path, .base = base, .title = slash ? slash + 1 : path, .generation = generation, .fd = fd };
    s.room = url_is_remote(path) ? WINDOW_REMOTE : WINDOW_LOCAL;
    s.window = malloc(s.room);
    int bad = -1;
    if (!s.window)
        error_memory(e);
    else if ((s.object = object_open_version(path, generation, e)))
        bad = shard_walk(&s, e);
    json_decref(s.row);
    object_close(s.object);
    free(s.window);
    return bad;
}
