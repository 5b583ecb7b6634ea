/* tests/unit/front_end_test.c - sound files through audio-decode and mel-features equal the golden features
 *
 * With arguments it is a tool for tests of programs:
 *   front_end_test make OUT RECORD...   writes a stream, one record a unit, each "key=value,key=value":
 *                                       @FILE bytes, @FILE+FILE a list, #N:V an array of N times V,
 *                                       a number, {key:value} a map of one text, or text
 *   front_end_test list IN              prints a line a sample: its fields, arrays as type and shape */
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/format/safetensors.h"
#include "libcommon/stream/stream.h"
#include "libcommon/sys/log.h"
#include "tests/unit/sound_write.h"
#include "tests/unit/stream_make.h"
#include "tests/unit/tap.h"

/* --- the tool: streams from the command line ------------------------------------------ */
static void file_put(struct buf *b, const char *path)
{
    size_t n = 0;
    uint8_t *data = sound_load(path, &n);
    if (!data)
        die(STATUS_BAD, "cannot read '%s'", path);
    mp_put_bin(b, data, n);
    free(data);
}

static void files_put(struct buf *b, char *paths)
{
    uint32_t n = 1;
    for (const char *p = paths; *p; p++)
        n += *p == '+';
    if (n == 1) {
        file_put(b, paths);
        return;
    }
    mp_put_array(b, n);
    for (char *save, *p = strtok_r(paths, "+", &save); p; p = strtok_r(NULL, "+", &save))
        file_put(b, p);
}

static void value_put(struct buf *b, char *value)
{
    char *end;
    double number = strtod(value, &end);
    if (*value == '@') {
        files_put(b, value + 1);
    } else if (*value == '#') {
        size_t n = strtoul(value + 1, &end, 10);
        float v = strtof(end + 1, NULL), *x = malloc((n + 1) * sizeof *x);
        for (size_t i = 0; i < n; i++)
            x[i] = v;
        struct array a = {ARRAY_F32, 1, {n}, span_of(x, n * sizeof *x)};
        array_put(b, &a);
        free(x);
    } else if (*value == '{') {
        char *colon = strchr(value, ':'), *close = strchr(value, '}');
        *colon = *close = 0;
        mp_put_map(b, 1);
        mp_put_str(b, value + 1);
        mp_put_str(b, colon + 1);
    } else if (*value && !*end) {
        mp_put_real(b, number);
    } else {
        mp_put_str(b, value);
    }
}

static int record_make(void *ctx, struct unit *u, uint64_t q, struct error *e)
{
    char id[30], *save, *record = ((char **)ctx)[q];
    struct sample *s = unit_add(u, id, (size_t)snprintf(id, sizeof id, "r%llu", (unsigned long long)q), e);
    for (char *field = strtok_r(record, ",", &save); s && field; field = strtok_r(NULL, ",", &save)) {
        char *value = strchr(field, '=');
        struct buf b;
        if (!value)
            return error_set(e, STATUS_BAD, "field '%s' has no '='", field);
        *value = 0;
        buf_init(&b, UNIT_MAX);
        value_put(&b, value + 1);
        int rc = sample_put_raw(s, field, span_of(b.data, b.size), e);
        buf_release(&b);
        if (rc < 0)
            return -1;
    }
    return s ? 0 : -1;
}

static int records_make(const char *to, int n, char **record, struct error *e)
{
    struct stage st;
    stage_init(&st, "front-end-test");
    int rc = stream_make_of(to, &st, (uint64_t)n, 0, (uint64_t)n, record_make, record, e);
    stage_release(&st);
    return rc;
}

static void value_list(struct span value)
{
    struct mp_cursor c = mp_cursor(value);
    struct mp_value v;
    struct array a;
    const char *why;
    double number;
    if (array_read(value, &a, &why) == 0) {
        printf("%s[", array_type_name(a.type));
        for (int i = 0; i < a.rank; i++)
            printf("%s%llu", i ? "," : "", (unsigned long long)a.shape[i]);
        printf("]");
        return;
    }
    mp_read(&c, &v);
    if (mp_to_real(&v, &number))
        printf("%.9g", number);
    else if (v.type == MP_STR)
        printf("%.*s", (int)v.bytes.size, (const char *)v.bytes.data);
    else if (v.type == MP_BIN)
        printf("%zu bytes", v.bytes.size);
    else if (v.type == MP_BOOL)
        printf("%s", v.b ? "true" : "false");
    else if (v.type == MP_ARRAY || v.type == MP_MAP) {
        printf("{");
        for (uint32_t i = 0; i < (v.type == MP_MAP ? 2 * v.n : v.n); i++) {
            struct span item;
            mp_skip(&c, &item);
            printf("%s", !i ? "" : v.type == MP_MAP && i % 2 ? ":" : ";");
            value_list(item);
        }
        printf("}");
    }
}

static int stream_list(const char *from, struct error *e)
{
    struct unit u;
    unit_init(&u);
    struct stream_in *in = stream_in_open(from, e);
    enum stream_event event = STREAM_FAILED;
    while (in && (event = stream_next(in, &u, e)) > STREAM_EOF)
        for (uint32_t i = 0; event == STREAM_UNIT && i < u.k; i++) {
            for (size_t f = 0; f < u.sample[i].n; f++) {
                const struct field *field = &u.sample[i].field[f];
                printf("%s%.*s=", f ? " " : "", (int)field->key.size, (const char *)field->key.data);
                value_list(field->value);
            }
            printf("\n");
        }
    stream_in_close(in);
    unit_release(&u);
    return event == STREAM_EOF ? 0 : -1;
}

/* --- the tests ------------------------------------------------------------------------ */
static char dir[] = "/tmp/penstock-front-end.XXXXXX";

static void clip_compare(const struct safetensors *st, const struct sample *s, const char *name, int bands)
{
    char key[40];
    struct error e = {0, ""};
    struct array a;
    double padding = 0, worst = NAN;
    snprintf(key, sizeof key, "%s.mel%d", name, bands);
    const struct st_tensor *want = safetensors_find(st, key);
    if (!want || sample_array(s, "input_features", &a, &e) != 1 || sample_real(s, "padding_value", &padding, &e) != 1) {
        ok(false, "%s has features and a padding value: %s", key, e.text);
        return;
    }
    if (a.type == ARRAY_F32 && a.rank == 2 && a.shape[0] == want->shape[0] && a.shape[1] == want->shape[1]) {
        worst = 0;
        float *w = malloc((size_t)st_count(want) * sizeof *w);
        st_to_f32(want, w, &e);
        for (uint64_t i = 0; i < array_count(&a); i++) {
            double d = fabs(array_at(&a, i) - (double)w[i]);
            worst = worse(worst, d);
        }
        free(w);
    }
    ok(worst <= 1e-4, "%s: worst %.1e (limit 1e-4)", key, worst);
}

static void bands_compare(const struct safetensors *st, int bands)
{
    static const char *const names[] = {"jfk", "clip", "silence", "impulse", "sine", "noise", "short"};
    char record[7][100], *records[7], from[80], to[80], command[400];
    struct error e = {0, ""};
    for (int i = 0; i < 7; i++) {
        snprintf(record[i], sizeof record[i], "audio=@tests/golden/mel/%s.wav", names[i]);
        records[i] = record[i];
    }
    snprintf(from, sizeof from, "%s/from", dir);
    snprintf(to, sizeof to, "%s/to", dir);
    snprintf(command, sizeof command, "audio-decode <%s | mel-features --feature-size %d >%s", from, bands, to);
    if (!ok(records_make(from, 7, records, &e) == 0 && system(command) == 0, "%s (%s)", command, e.text))
        return;
    struct unit u;
    unit_init(&u);
    struct stream_in *in = stream_in_open(to, &e);
    enum stream_event event = STREAM_FAILED;
    size_t n = 0;
    while (in && (event = stream_next(in, &u, &e)) > STREAM_EOF)
        for (uint32_t i = 0; event == STREAM_UNIT && i < u.k && n < 7; i++)
            clip_compare(st, &u.sample[i], names[n++], bands);
    ok(event == STREAM_EOF && n == 7, "seven clips, and the end (%s)", e.text);
    stream_in_close(in);
    unit_release(&u);
    unlink(from);
    unlink(to);
}

int main(int argc, char **argv)
{
    struct error e = {0, ""};
    if (argc > 2) {
        log_open("front_end_test");
        int rc = strcmp(argv[1], "make") == 0 ? records_make(argv[2], argc - 3, argv + 3, &e) : stream_list(argv[2], &e);
        if (rc < 0)
            die(e.status, "%s", e.text);
        return 0;
    }
    struct safetensors st;
    if (!ok(mkdtemp(dir) && safetensors_open("tests/golden/mel/expect.safetensors", &st, &e) == 0,
            "the golden features are read %s", e.text))
        return done();
    bands_compare(&st, 80);
    bands_compare(&st, 128);
    safetensors_close(&st);
    rmdir(dir);
    return done();
}
