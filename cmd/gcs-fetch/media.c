/* cmd/gcs-fetch/media.c - see media.h */
#include "cmd/gcs-fetch/media.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/manifest/import/import.h"
#include "libcommon/plan/source.h"
#include "libcommon/store/cache/cache.h"
#include "libcommon/store/store.h"
#include "libcommon/stream/filter.h"

static void bin_head(struct buf *b, size_t n)
{
    int wide = n > 0xffff ? 4 : n > 0xff ? 2 : 1;
    uint8_t head[5] = { (uint8_t)(wide == 4 ? 0xc6 : 0xc3 + wide) };
    for (int i = 0; i < wide; i++)
        head[1 + i] = (uint8_t)(n >> 8 * (wide - 1 - i));
    buf_append(b, head, (size_t)wide + 1);
}

/* --- archives stay open: their parts come one after the other ------------------------ */

enum { KEPT = 32 };
static struct {
    pthread_mutex_t lock;
    struct { char *url; uint64_t generation; struct object *object; unsigned users; uint64_t used; } of[KEPT];
    uint64_t now;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* NULL without e->status: all places are in use. */
static struct object *kept_open(const char *url, uint64_t generation, size_t *place, struct error *e)
{
    size_t oldest = KEPT;
    struct object *o = NULL;
    pthread_mutex_lock(&kept.lock);
    for (size_t i = 0; i < KEPT && !o; i++) {
        if (kept.of[i].url && kept.of[i].generation == generation && !strcmp(kept.of[i].url, url)) {
            o = kept.of[i].object;
            *place = i;
        } else if (!kept.of[i].users && (oldest == KEPT || kept.of[i].used < kept.of[oldest].used)) {
            oldest = i;
        }
    }
    if (!o && oldest < KEPT && (o = object_open_version(url, generation, e))) {
        free(kept.of[oldest].url);
        object_close(kept.of[oldest].object);
        kept.of[oldest].url = strdup(url);
        kept.of[oldest].generation = generation;
        kept.of[oldest].object = o;
        *place = oldest;
    }
    if (o) {
        kept.of[*place].users++;
        kept.of[*place].used = ++kept.now;
    }
    pthread_mutex_unlock(&kept.lock);
    return o;
}

static void kept_leave(size_t place)
{
    pthread_mutex_lock(&kept.lock);
    kept.of[place].users--;
    pthread_mutex_unlock(&kept.lock);
}

/* --- the cache ------------------------------------------------------------------------ */

static struct cache *cache;

int media_cache(const char *dir, uint64_t limit, struct error *e)
{
    cache = cache_open(dir, limit, e);
    import_cache(cache);
    return cache ? 0 : -1;
}

static int too_large(const char *url, uint64_t size, struct error *e)
{
    return error_set(e, STATUS_BAD, "'%s' has %llu bytes; a unit may have %d MiB in all", url, (unsigned long long)size,
                     UNIT_MAX >> 20);
}

static uint8_t *room_make(struct buf *b, uint64_t size, size_t room, const char *url, struct error *e)
{
    if (size > room || b->size > room - (size_t)size) {
        too_large(url, size, e);
        return NULL;
    }
    source_reserve((size_t)size);
    bin_head(b, (size_t)size);
    uint8_t *to = buf_extend(b, (size_t)size);
    if (!to)
        error_memory(e);
    return to;
}

/* 1: read from the cache; 0: not kept; -1.  *generation becomes the version to look for, 0: none. */
static int cached_read(const struct media *m, uint64_t *generation, struct buf *b, size_t room, struct error *e)
{
    struct object_info i;
    *generation = 0;
    if (!cache || m->part || strncmp(m->url, "gs://", 5))   /* others have no generations */
        return 0;
    *generation = m->generation;
    if (!*generation && store_stat(m->url, &i, NULL) == 1)
        *generation = i.generation;
    int64_t size = *generation ? cache_size(cache, m->url, *generation) : -1;
    if (size < 0)
        return 0;
    size_t before = b->size;
    uint8_t *to = room_make(b, (uint64_t)size, room, m->url, e);
    if (!to)
        return -1;
    if (cache_get(cache, m->url, *generation, to, (size_t)size))
        return 1;
    b->size = before;
    return 0;
}

int media_read(const struct media *m, struct buf *b, size_t room, struct error *e)
{
    size_t place = KEPT;
    struct error why = { 0 };
    uint64_t generation;
    int found = cached_read(m, &generation, b, room, e);
    if (found)
        return found < 0 ? -1 : 0;
    struct object *o = m->part ? kept_open(m->url, m->generation, &place, &why) : NULL;
    if (!o && !why.status)
        o = object_open_version(m->url, generation ? generation : m->generation, &why);
    if (!o)
        return error_set(e, why.status, "%s", why.text);
    uint64_t size = m->part ? m->size : object_info(o)->size;
    uint8_t *to = room_make(b, size, room, m->url, e);
    int bad = to ? object_read(o, m->part ? m->at : 0, (size_t)size, to, e) : -1;
    if (!bad && generation)
        cache_put(cache, m->url, generation, to, (size_t)size);
    if (place < KEPT)
        kept_leave(place);
    else
        object_close(o);
    return bad;
}

/* --- --fetch ------------------------------------------------------------------------ */

static int url_fetch(const struct mp_value *v, struct media m, struct buf *b, struct error *e)
{
    if (v->type != MP_STR || memchr(v->bytes.data, 0, v->bytes.size))
        return error_set(e, STATUS_BAD, "a plan whose URL is no text");
    char *url = strndup((const char *)v->bytes.data, v->bytes.size);
    m.url = url;
    int bad = url ? media_read(&m, b, UNIT_MAX - (1 << 20), e) : error_memory(e);
    free(url);
    return bad;
}

/* The bytes that a plan's map stands for, as one object. */
static int plan_fetch(struct span plan, const char *key, struct buf *b, struct error *e)
{
    struct mp_cursor c = mp_cursor(plan);
    struct mp_value map, name, v;
    struct media m = { 0 };
    if (mp_read(&c, &map) < 0 || map.type != MP_MAP)
        return error_set(e, STATUS_BAD, "'" MEDIA_PLAN "%s' is no map", key);
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_read(&c, &name) < 0 || mp_read(&c, &v) < 0)
            break;
        if ((mp_str_is(&name, "generation") && !mp_to_u64(&v, &m.generation)) ||
            (mp_str_is(&name, "at") && !mp_to_u64(&v, &m.at)) ||
            (mp_str_is(&name, "size") && !(m.part = mp_to_u64(&v, &m.size))))
            break;
        if (!mp_str_is(&name, key))
            continue;
        if (v.type != MP_ARRAY)
            return url_fetch(&v, m, b, e);
        uint32_t n = v.n;
        mp_put_array(b, n);
        for (uint32_t j = 0; j < n; j++)
            if (mp_read(&c, &v) < 0 || url_fetch(&v, m, b, e) < 0)
                return -1;
        return 0;
    }
    return error_set(e, STATUS_BAD, "'" MEDIA_PLAN "%s' names nothing", key);
}

static int sample_fetch(void *ctx, struct sample *s, uint64_t epoch, struct error *e)
{
    (void)ctx, (void)epoch;
    static const char *const keys[][2] = { { MEDIA_PLAN "audio", "audio" }, { MEDIA_PLAN "image", "image" } };
    for (size_t i = 0; i < 2; i++) {
        const struct span *plan = sample_get(s, keys[i][0]);
        if (!plan)
            continue;
        struct buf b;
        buf_init(&b, UNIT_MAX);
        int bad = plan_fetch(*plan, keys[i][1], &b, e);
        if (!bad) {             /* in its place: the record is that of a gcs-fetch which did it all */
            for (size_t j = 0; j < s->n; j++)
                if (&s->field[j].value == plan)
                    s->field[j].key = span_of(keys[i][1], strlen(keys[i][1]));
            bad = sample_put_raw(s, keys[i][1], span_of(b.data, b.size), e);
        }
        buf_release(&b);
        if (bad)
            return -1;
    }
    return 0;
}

int media_fetch(const struct common *common)
{
    struct stage stage;
    stage_init(&stage, "gcs-fetch");
    stage_put_bool(&stage, "fetch", true);
    int status = filter_run(&(struct filter){ NULL, &stage, NULL, sample_fetch }, common);
    stage_release(&stage);
    return status;
}
