/* tests/unit/stream_sample_test.c - samples and headers: fields read, put, dropped and failed */
#include "libcommon/stream/stream.h"
#include "tap.h"

static struct error e;

static void fields(void)
{
    struct unit u;
    unit_init(&u);
    unit_begin(&u, 0, 0);
    struct sample *s = unit_add(&u, "it/17.mp3", 9, &e);
    struct span text;
    int64_t i;
    double r;
    ok(sample_id(s).size == 9 && !memcmp(sample_id(s).data, "it/17.mp3", 9), "a new sample has its id");
    ok(sample_str(s, "text", &text, &e) == 0, "a field that is not there is absent");
    sample_put_str(s, "text", "ciao", 4, &e), sample_put_int(s, "rate", -3, &e), sample_put_real(s, "duration", 1.5, &e);
    ok(sample_str(s, "text", &text, &e) == 1 && text.size == 4 && sample_int(s, "rate", &i, &e) == 1 && i == -3
           && sample_real(s, "duration", &r, &e) == 1 && r == 1.5 && sample_real(s, "rate", &r, &e) == 1 && r == -3,
       "fields are read as they were put");
    ok(sample_int(s, "text", &i, &e) == -1 && strstr(e.text, "field 'text' is not a whole number"),
       "a field of another type is told: %s", e.text);
    ok(sample_int(s, "duration", &i, &e) == -1 && sample_bin(s, "text", &text, &e) == -1,
       "reals are no whole numbers, text is no bin");
    sample_put_str(s, "text", "a\xff" "b\xc3", 4, &e);
    ok(sample_str(s, "text", &text, &e) == 1 && text.size == 8 &&
       !memcmp(text.data, "a\xef\xbf\xbd" "b\xef\xbf\xbd", 8), "text that is not UTF-8 is mended");
    ok(s->n == 4 && s->field[1].key.size == 4, "a field put again stays in its place");
    sample_drop(s, "rate"), sample_drop(s, "nothing");
    ok(s->n == 3 && !sample_has(s, "rate") && sample_has(s, "duration"), "a field is dropped");
    sample_put_raw(s, "nil", span_of("\xc0", 1), &e);
    ok(sample_str(s, "nil", &text, &e) == 0 && sample_has(s, "nil"), "nil reads as absent");

    /* np.float32(0.5) as msgpack-numpy writes it */
    static const uint8_t scalar[] = "\x83\xc4\x02nd\xc2\xc4\x04type\xa3<f4\xc4\x04""data\xc4\x04\x00\x00\x00\x3f";
    sample_put_raw(s, "np", span_of(scalar, sizeof scalar - 1), &e);
    ok(sample_real(s, "np", &r, &e) == 1 && r == 0.5, "a numpy scalar is a number");

    char key[20];
    int put = 0;
    for (int k = 0; k < 100; k++) {
        snprintf(key, sizeof key, "field-%d", k);
        put += sample_put_int(s, key, k, &e) == 0;
    }
    ok(s->n == SAMPLE_FIELDS && put == SAMPLE_FIELDS - 5 && strstr(e.text, "64 fields"), "64 fields is the limit: %s",
       e.text);
    sample_fail(s, "audio-decode", "bad\xff");
    struct buf b;
    buf_init(&b, 1000);
    sample_write(&b, s);
    static const char want[] = "\x82\xa2id\xa9it/17.mp3\xa5""error\x82\xa5stage\xac""audio-decode"
                               "\xa7message\xa6""bad\xef\xbf\xbd";
    ok(sample_failed(s) && b.size == sizeof want - 1 && !memcmp(b.data, want, b.size),
       "a failed sample is its id and the error alone");
    struct sample_error what;
    ok(sample_error(s, &what) && what.stage.size == 12 && !memcmp(what.stage.data, "audio-decode", 12) &&
       what.message.size == 6 && !memcmp(what.message.data, "bad", 3) && !what.dropped, "which is read again");
    sample_pass_over(s, "tokenize", "long");
    ok(sample_error(s, &what) && what.message.size == 4 && what.dropped, "one that was left out on request says so");
    sample_put_raw(s, "error", span_of("\x81\x01\x02", 3), &e);
    ok(sample_error(s, &what) && !what.stage.data && !what.message.data,
       "an error of another kind is one that says nothing");
    sample_drop(s, "error");
    ok(!sample_error(s, &what), "and none is none");
    buf_release(&b);
    unit_release(&u);
}

static void units(void)
{
    struct unit u, v;
    struct buf body;
    unit_init(&u), unit_init(&v);
    buf_init(&body, UNIT_MAX);
    unit_begin(&u, 9, 2);
    for (int i = 0; i < 100; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        struct sample *s = unit_add(&u, id, strlen(id), &e);
        sample_put_bin(s, "audio", id, strlen(id), &e);
    }
    ok(u.k == 100 && unit_encode(&u, &body, &e) == 0, "a unit of 100 samples is written");
    buf_append(&v.body, body.data, body.size);
    ok(unit_decode(&v, 100, &e) == 0 && v.k == 100 && sample_id(&v.sample[99]).data[1] == '9', "and read");
    ok(unit_decode(&v, 99, &e) < 0 && strstr(e.text, "holds 100 samples, its control map says 99"), "a wrong count is told");
    buf_append(&v.body, "\xc0", 1);
    ok(unit_decode(&v, 100, &e) < 0 && strstr(e.text, "1 bytes behind"), "bytes behind the body are told");
    buf_release(&body);
    unit_release(&u), unit_release(&v);
}

static int header_of(const char *bytes, size_t n, struct header *h) { return header_read(h, span_of(bytes, n), &e); }

static void headers(void)
{
    struct header h, back;
    struct stage a, b;
    static const uint8_t run[16] = "run";
    stage_init(&a, "gcs-fetch"), stage_init(&b, "mel-features");
    stage_put_int(&b, "feature_size", 80), stage_put_str(&b, "model", "tiny"), stage_put_real(&b, "x", 0.5),
        stage_put_bool(&b, "y", true);
    ok(header_make(&h, run, 0, 3, &a, &e) == 0 && header_append(&h, &b, &e) == 0 && header_append(&h, &a, &e) == 0,
       "a header grows stage by stage");
    header_init(&back);
    ok(header_read(&back, span_of(h.map.data, h.map.size), &e) == 0 && header_epochs(&back) == 3 &&
       header_samples(&back) == 0, "and is read back");
    struct span text;
    double size;
    ok(header_option_real(&back, "mel-features", "feature_size", &size) && size == 80 &&
       header_option_str(&back, "mel-features", "model", &text)
           && text.size == 4,
       "with the options of its stages");
    ok(!header_option_str(&back, "mel-features", "feature_size", &text) &&
       !header_option_str(&back, "tokenize", "model", &text), "and no others");
#define HEADER(text) header_of(text, sizeof text - 1, &back)
    ok(HEADER("\x83\xa8penstock\x01\xa3run\xc4\x01x\xa6stages\x90") == 0, "the smallest header");
    ok(HEADER("\x83\xa8penstock\x02\xa3run\xc4\x01x\xa6stages\x90") < 0 && strstr(e.text, "version 2"),
       "another version: %s", e.text);
    ok(HEADER("\x84\xa8penstock\x01\xa3run\xc4\x01x\xa6stages\x90\xa3run\xc4\x01y") < 0 &&
       strstr(e.text, "'run' twice"), "a key twice: %s", e.text);
    ok(HEADER("\x83\xa8penstock\x01\xa3run\xa1x\xa6stages\x90") < 0 && strstr(e.text, "'run' is not"),
       "run as text: %s", e.text);
    ok(HEADER("\x83\xa8penstock\x01\xa3run\xc4\x01x\xa6stages\x91\x81\xa4name\xa1x") < 0 && strstr(e.text, "stage 1"),
       "a stage without version: %s", e.text);
    ok(HEADER("\x84\xa8penstock\x01\xa3run\xc4\x01x\xa6stages\x90\xa7samples\xff") < 0 && strstr(e.text, "'samples'"),
       "samples below 0: %s", e.text);
    ok(HEADER("\x81\xa5hello\x01") < 0 && strstr(e.text, "not a stream"), "another map: %s", e.text);
    header_release(&h), header_release(&back);
    stage_release(&a), stage_release(&b);
}

int main(void)
{
    fields();
    units();
    headers();
    return done();
}
