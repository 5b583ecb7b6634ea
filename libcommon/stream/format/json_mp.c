/* libcommon/stream/format/json_mp.c - see json_mp.h */
#include "libcommon/stream/format/json_mp.h"

#include "libcommon/stream/format/mp.h"

static int value_put(const json_t *v, struct buf *b, int depth)
{
    const char *key;
    json_t *item;
    size_t i;
    if (depth > JSON_MP_DEPTH)
        return -1;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        if (json_object_size(v) > MP_KEYS)
            return -1;
        mp_put_map(b, (uint32_t)json_object_size(v));
        json_object_foreach((json_t *)v, key, item) {
            mp_put_str(b, key);
            if (value_put(item, b, depth + 1) < 0)
                return -1;
        }
        return 0;
    case JSON_ARRAY:
        if (json_array_size(v) > UINT32_MAX)
            return -1;
        mp_put_array(b, (uint32_t)json_array_size(v));
        json_array_foreach((json_t *)v, i, item)
            if (value_put(item, b, depth + 1) < 0)
                return -1;
        return 0;
    case JSON_STRING:
        mp_put_strn(b, json_string_value(v), json_string_length(v));
        return 0;
    case JSON_INTEGER:
        mp_put_int(b, json_integer_value(v));
        return 0;
    case JSON_REAL:
        mp_put_real(b, json_real_value(v));
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        mp_put_bool(b, json_is_true(v));
        return 0;
    default:
        mp_put_nil(b);
        return 0;
    }
}

int json_to_mp(const json_t *v, struct buf *b)
{
    return value_put(v, b, 0);
}
