/* cmd/gcs-fetch/media.c - see media.h */
#include "cmd/gcs-fetch/media.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/plan/source.h"
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

int media_read(const char *url, uint64_t generation, struct buf *b, size_t room, struct error *e)
{
    struct object *o = object_open_version(url, generation, e);
    if (!o)
        return -1;
    int bad = 0;
    uint64_t size = object_info(o)->size;
    uint8_t *to;
    if (size > room || b->size > room - (size_t)size) {
        bad = error_set(e, STATUS_BAD, "'%s' has %llu bytes; a unit may have %d MiB in all", url, (unsigned long long)size, UNIT_MAX >> 20);
    } else {
        source_reserve((size_t)size);
        bin_head(b, (size_t)size);
        if (!(to = buf_extend(b, (size_t)size)))
            bad = error_set(e, STATUS_AGAIN, "out of memory");
        else
            bad = object_read(o, 0, (size_t)size, to, e);
    }
    object_close(o);
    return bad;
}

/* --- --fetch ------------------------------------------------------------------------ */

static int url_fetch(const struct mp_value *v, uint64_t generation, struct buf *b, struct error *e)
{
    if (v->type != MP_STR || memchr(v->bytes.data, 0, v->bytes.size))
        return error_set(e, STATUS_BAD, "a plan whose URL is no text");
    char *url = strndup((const char *)v->bytes.data, v->bytes.size);
    int bad = url ? media_read(url, generation, b, UNIT_MAX - (1 << 20), e) : error_set(e, STATUS_AGAIN, "out of memory");
    free(url);
    return bad;
}

/* The bytes that a plan's map stands for, as one object. */
static int plan_fetch(struct span plan, const char *key, struct buf *b, struct error *e)
{
    struct mp_cursor c = mp_cursor(plan);
    struct mp_value map, name, v;
    uint64_t generation = 0;
    if (mp_read(&c, &map) < 0 || map.type != MP_MAP)
        return error_set(e, STATUS_BAD, "'" MEDIA_PLAN "%s' is no map", key);
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_read(&c, &name) < 0 || mp_read(&c, &v) < 0)
            break;
        if (mp_str_is(&name, "generation") && !mp_to_u64(&v, &generation))
            break;
        if (!mp_str_is(&name, key))
            continue;
        if (v.type != MP_ARRAY)
            return url_fetch(&v, generation, b, e);
        uint32_t n = v.n;
        mp_put_array(b, n);
        for (uint32_t j = 0; j < n; j++)
            if (mp_read(&c, &v) < 0 || url_fetch(&v, 0, b, e) < 0)
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
