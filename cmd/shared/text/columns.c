/* cmd/shared/text/columns.c - see columns.h */
#include "cmd/shared/text/columns.h"

bool column_get(const struct sample *s, const char *key, struct span *value)
{
    const struct span *own = sample_get(s, key), *row = sample_get(s, "row");
    struct mp_cursor c;
    struct mp_value v, k;

    if (own) {
        *value = *own;
        return true;
    }
    if (!row)
        return false;
    c = mp_cursor(*row);
    if (mp_read(&c, &v) < 0 || v.type != MP_MAP)
        return false;
    for (uint32_t i = 0; i < v.n; i++) {
        if (mp_read(&c, &k) < 0 || mp_skip(&c, value) < 0)
            return false;
        if (mp_str_is(&k, key))
            return true;
    }
    return false;
}

int column_str(const struct sample *s, const char *key, struct str *to, struct error *e)
{
    struct span value;
    struct mp_value v;

    if (!column_get(s, key, &value))
        return 0;
    if (mp_read_span(value, &v) < 0 || (v.type != MP_STR && v.type != MP_NIL))
        return error_set(e, STATUS_BAD, "'%s' is not text", key);
    if (v.type == MP_NIL || !v.bytes.size)
        return 0;
    *to = str_of((const char *)v.bytes.data, v.bytes.size);
    return 1;
}
