/* tests/unit/safetensors_test.c - files that are sound, and each way not to be */
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/format/safetensors.h"
#include "tests/unit/tap.h"

static struct buf file;

static struct span made(const char *header, size_t data)
{
    uint64_t n = strlen(header);
    buf_clear(&file);
    for (int i = 0; i < 8; i++)
        buf_append(&file, &(uint8_t){ (uint8_t)(n >> 8 * i) }, 1);
    buf_append(&file, header, n);
    for (size_t i = 0; i < data; i++)
        buf_append(&file, &(uint8_t){ (uint8_t)i }, 1);
    return span_of(file.data, file.size);
}

static void refused(struct span bytes, const char *word, const char *name)
{
    struct safetensors st;
    struct error e = { 0 };
    int r = safetensors_parse(bytes, &st, &e);
    ok(r < 0 && e.status == STATUS_BAD && strstr(e.text, word), "%s: '%s'", name, e.text);
    if (r == 0)
        safetensors_close(&st);
}

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B(from, to) "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #from "," #to "]}"

static void sound(void)
{
    struct safetensors st;
    struct error e = { 0 };
    ok(safetensors_parse(made("{" B(8, 12) ",\"__metadata__\":{\"format\":\"pt\"}," A "}  ", 12), &st, &e) == 0,
       "a sound file is read %s", e.text);
    is_int((long long)st.n, 2, "both tensors");
    is_str(st.tensor[0].name, "a", "sorted by name");
    const struct st_tensor *b = safetensors_find(&st, "b");
    ok(b && b->dtype == ST_U8 && b->rank == 1 && b->shape[0] == 4 && b->data.data[0] == 8, "found, with its bytes");
    ok(!safetensors_find(&st, "c"), "what is not there is not found");
    safetensors_close(&st);
    ok(safetensors_parse(made("{}", 0), &st, &e) == 0 && st.n == 0, "a file without tensors is read");
    safetensors_close(&st);
    ok(safetensors_parse(made("{\"e\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[0,0]},"
                              "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4), &st, &e) == 0 &&
           st_count(safetensors_find(&st, "e")) == 0 && st_count(safetensors_find(&st, "s")) == 1,
       "a tensor of no items, and one of no dimension");
    safetensors_close(&st);
}

static void hostile(void)
{
    refused(span_of("abc", 3), "truncated", "three bytes");
    refused(span_of("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10), "announces a header", "a header of 2^64 bytes");
    refused(span_of("\x40\0\0\0\0\0\0\0{}", 10), "truncated", "a header that is cut");
    refused(made("[]", 0), "no map", "a list for a header");
    refused(made("{\"a\":", 0), "not JSON", "half a header");
    refused(made("{" A "," A "}", 8), "duplicate", "a name twice");
    refused(made("{" A "}", 7), "truncated", "data cut by one byte");
    refused(made("{" A "}", 9), "belong to no tensor", "a byte too many");
    refused(made("{" A "," B(9, 13) "}", 13), "before tensor 'b'", "a hole");
    refused(made("{" A "," B(7, 11) "}", 11), "overlap", "an overlap");
    refused(made("{" A "," B(8, 13) "}", 13), "need 4 bytes", "more bytes than items");
    refused(made("{" A "," B(12, 8) "}", 12), "no range", "a range that runs backwards");
    refused(made("{" A "," B(8, 9223372036854775807) "}", 12), "truncated", "an end far outside");
    refused(made("{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0),
            "more items", "a product that overflows");
    refused(made("{\"x\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4), "whole number", "a negative size");
    refused(made("{\"x\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4), "at most 8",
            "nine dimensions");
    refused(made("{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4), "F8_E4M3",
            "a type we do not know");
    refused(made("{\"x\":5}", 0), "dtype", "a tensor that is a number");
    refused(made("{\"__metadata__\":{\"a\":1}}", 0), "no text", "metadata that is a number");
}

static void values(void)
{
    /* 1, -2, 65504, the least subnormal, infinity in half precision; 1 and -3.140625 in bfloat16; pi as double */
    static const uint16_t half[] = { 0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00 }, brain[] = { 0x3f80, 0xc049 };
    static const double pi = 3.141592653589793;
    float to[5];
    struct error e;
    struct st_tensor t = { .dtype = ST_F16, .rank = 1, .shape = { 5 }, .data = { (const uint8_t *)half, sizeof half } };
    st_to_f32(&t, to, &e);
    ok(to[0] == 1 && to[1] == -2 && to[2] == 65504 && to[3] == 0x1p-24f && isinf(to[4]),
       "half precision becomes float exactly");
    t = (struct st_tensor){ .dtype = ST_BF16, .rank = 1, .shape = { 2 }, .data = { (const uint8_t *)brain, sizeof brain } };
    st_to_f32(&t, to, &e);
    ok(to[0] == 1 && to[1] == -3.140625f, "so does bfloat16");
    t = (struct st_tensor){ .dtype = ST_F64, .rank = 0, .data = { (const uint8_t *)&pi, sizeof pi } };
    st_to_f32(&t, to, &e);
    ok(to[0] == (float)pi, "a double is rounded");
    t.dtype = ST_I64;
    ok(st_to_f32(&t, to, &e) < 0, "whole numbers are refused");
}

static void written(void)
{
    struct st_tensor t[] = { { .name = "w\"1", .dtype = ST_F32, .rank = 2, .shape = { 2, 3 } },
                             { .name = "b", .dtype = ST_BF16, .rank = 1, .shape = { 5 } } };
    struct error e = { 0 };
    struct safetensors st;
    buf_clear(&file);
    ok(safetensors_header(t, 2, &file, &e) == 0 && file.size % 8 == 0, "a header is written, padded to 8 bytes");
    buf_extend(&file, 24 + 10);
    ok(safetensors_parse(span_of(file.data, file.size), &st, &e) == 0 && st.n == 2 &&
       safetensors_find(&st, "w\"1")->shape[1] == 3, "and read back %s", e.text);
    safetensors_close(&st);
}

static void put(const char *dir, const char *name, struct span bytes)
{
    char path[500];
    struct error e = { 0 };
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (file_replace(path, bytes.data, bytes.size, &e) < 0)
        printf("# %s\n", e.text);
}

static void model_refused(const char *dir, const char *index, const char *word, const char *name)
{
    struct safetensors st;
    struct error e = { 0 };
    put(dir, "model.safetensors.index.json", span_of(index, strlen(index)));
    int r = safetensors_open_model(dir, &st, &e);
    ok(r < 0 && strstr(e.text, word), "%s: '%s'", name, e.text);
    if (r == 0)
        safetensors_close(&st);
}

static void shards(const char *dir)
{
    struct safetensors st;
    struct error e = { 0 };
    ok(safetensors_open_model(dir, &st, &e) < 0 && strstr(e.text, "model.safetensors"),
       "an empty directory is no model: '%s'", e.text);
    put(dir, "m1.safetensors", made("{" A "}", 8));
    put(dir, "m2.safetensors", made("{" B(0, 4) "}", 4));
    static const char good[] = "{\"weight_map\":{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\"}}";
    put(dir, "model.safetensors.index.json", span_of(good, strlen(good)));
    e.text[0] = 0;
    ok(safetensors_open_model(dir, &st, &e) == 0 && st.n == 2 && st.n_maps == 2 &&
       safetensors_find(&st, "b")->data.data[3] == 3, "two shards are one model %s", e.text);
    safetensors_close(&st);
    model_refused(dir, "{\"weight_map\":{\"a\":\"m1.safetensors\",\"c\":\"m2.safetensors\"}}", "'c'",
                  "a tensor that no shard has");
    model_refused(dir, "{\"weight_map\":{\"a\":\"../m1.safetensors\"}}", "no name of a file", "a shard elsewhere");
    model_refused(dir, "{\"weight_map\":{\"a\":\"m3.safetensors\"}}", "m3", "a shard that is missing");
    model_refused(dir, "{\"weight_map\":{\"a\":3}}", "no text", "a shard that is a number");
    model_refused(dir, "{}", "weight_map", "an index without a map");
    put(dir, "m2.safetensors", made("{" A "}", 8));
    model_refused(dir, good, "two shards", "a tensor in two shards");
    put(dir, "model.safetensors", made("{" A "}", 8));
    ok(safetensors_open_model(dir, &st, &e) == 0 && st.n_maps == 1, "one whole file goes before shards");
    safetensors_close(&st);
}

int main(void)
{
    char dir[] = "/tmp/penstock.XXXXXX";
    struct error e;
    buf_init(&file, 1 << 20);
    if (!mkdtemp(dir))
        return 1;
    sound();
    hostile();
    values();
    written();
    shards(dir);
    dir_remove(dir, &e);
    buf_release(&file);
    return done();
}
