/* tests/unit/manifest_test.c - the index of a manifest: rows, lines, formats, double ids; peeking into JSON */
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/format/json_peek.h"
#include "libcommon/manifest/ids.h"
#include "libcommon/manifest/manifest.h"
#include "libcommon/sys/file.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/penstock.XXXXXX", path[500];

static int opened(struct manifest *m, const char *name, const char *text, size_t size, struct error *e)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    *e = (struct error){ 0 };
    if (file_replace(path, text, size, e) < 0)
        return -1;
    return manifest_open(m, path, NULL, 0, NULL, NULL, e);
}

/* All rows as "LINE:JSON " or "LINE:! ". */
static const char *rows(const char *name, const char *text)
{
    static char got[2000];
    struct manifest m;
    struct error e;
    *got = 0;
    if (opened(&m, name, text, strlen(text), &e) < 0)
        return strcpy(got, e.text);
    for (uint64_t i = 0; i < m.rows; i++) {
        json_t *row = manifest_row(&m, i, &e);
        char *dump = row ? json_dumps(row, JSON_COMPACT) : NULL;
        snprintf(got + strlen(got), sizeof got - strlen(got), "%llu:%s ", (unsigned long long)m.place[i].line,
                 dump ? dump : "!");
        free(dump);
        json_decref(row);
    }
    manifest_close(&m);
    return got;
}

static void formats(void)
{
    is_str(rows("a.jsonl", "{\"a\":1}\n\n{\"a\":2}"), "1:{\"a\":1} 3:{\"a\":2} ",
           "lines of JSON, a blank one, no newline at the end");
    is_str(rows("a.jsonl", "\xef\xbb\xbf{\"a\":1}\r\n{\"a\"\r\n[3]\n"), "1:{\"a\":1} 2:! 3:! ",
           "a byte order mark, CRLF, broken lines");
    is_str(rows("a.csv", "a,b\r\n1,\"x\ny\"\r\n\r\n2,\"p,q\"\r\n"),
           "2:{\"a\":\"1\",\"b\":\"x\\ny\"} 5:{\"a\":\"2\",\"b\":\"p,q\"} ", "CSV: lines are counted through quotes");
    is_str(rows("a.csv", "a,b\n1\n1,2,3\n\"x\"y,2\n1,2\n"), "2:! 3:! 4:! 5:{\"a\":\"1\",\"b\":\"2\"} ",
           "CSV: wrong numbers of fields, junk after a quote");
    is_str(rows("a.csv", "a,b\n1,\"open\n1,2\n3,4\n"), "2:! 3:{\"a\":\"1\",\"b\":\"2\"} 4:{\"a\":\"3\",\"b\":\"4\"} ",
           "CSV: a quote that never closes breaks its own line only");
    is_str(rows("a.csv", "a\n\xff\nx\n"), "2:! 3:{\"a\":\"x\"} ", "CSV: what is not UTF-8 is broken");
    is_str(rows("a.tsv", "a\tb\n1,5\t\"2\"\n"), "2:{\"a\":\"1,5\",\"b\":\"2\"} ", "TSV");
    is_str(rows("plain", "a\tb\n1\t2\n"), "2:{\"a\":\"1\",\"b\":\"2\"} ",
           "a name that says nothing: tabs in the first line");
    is_str(rows("plain", " {\"a\":1}\n"), "1:{\"a\":1} ", "a brace at its begin");
    is_str(rows("plain", "a,b\n1,2"), "2:{\"a\":\"1\",\"b\":\"2\"} ", "else CSV");
    is_str(rows("a.jsonl", "{\"n\":12345678901234567890123}\n"), "1:{\"n\":\"12345678901234567890123\"} ",
           "integers beyond 64 bits keep their digits, as text");
}

static void refused(const char *name, const char *text, size_t n, const char *word, const char *what)
{
    struct manifest m;
    struct error e;
    int r = opened(&m, name, text, n, &e);
    ok(r < 0 && e.status == STATUS_BAD && strstr(e.text, word), "%s: %s", what, e.text);
    if (r == 0)
        manifest_close(&m);
}

static void whole_files(void)
{
    refused("a.jsonl", "", 0, "no rows", "an empty manifest");
    refused("a.csv", "\n\n", 2, "empty", "a CSV of blank lines");
    refused("a.csv", "a,b\n", 4, "no rows", "a CSV of column names alone");
    refused("a.csv", "a,a\n1,2\n", 8, "both called 'a'", "two columns of one name");
    refused("a.csv", "\xff\xfe" "a\0", 4, "UTF-16", "UTF-16");
    refused("a.csv", "\x1f\x8b\x08", 3, "cut short", "a gzipped file without an end");
    refused("a.csv", "\x28\xb5\x2f\xfd", 4, "compressed", "another packer's file");
    refused("a.json", "[{\"a\":1}]", 9, "jq", "one JSON list");
    refused("a.jsonl", "{\"id\":\"x\"}\n{\"id\":\"y\"}\n\n{\"id\":\"x\"}\n", 34, "lines 1 and 4 have the same id 'x'",
            "a double id");
    refused("a.jsonl", "{\"id\":7}\n{\"id\":\"\\u0037\"}\n", 25, "lines 1 and 2",
            "a number and an escaped text that are one id");
    refused("a.csv", "id\nx\nx\n", 7, "lines 2 and 3", "a double id in a CSV");
    refused("a.jsonl", "{\"id\":\"a.jsonl:2\"}\n{}\n", 22, "lines 1 and 2", "an id that is the derived one of another row");
    struct manifest m;
    struct error e;
    ok(opened(&m, "a.jsonl", "{\"id\":\"x\"}\n{\"id\":\"x\",}\n", 23, &e) == 0,
       "a broken row has no id to be double %s", e.text);
    manifest_close(&m);
    ok(opened(&m, "a.jsonl", "{\"a\":1}\n{\"a\":1}\n", 16, &e) == 0 && m.rows == 2,
       "rows without ids are named by their lines");
    manifest_close(&m);
    manifest_open(&m, path, NULL, 1, NULL, NULL, &e);
    uint8_t hash[32];
    memcpy(hash, m.hash, 32);
    is_int((long long)m.rows, 1, "a limit");
    manifest_close(&m);
    ok(opened(&m, "a.jsonl", "{\"a\":1}\n", 8, &e) == 0 && !memcmp(hash, m.hash, 32),
       "the hash is of the rows that are used");
    manifest_close(&m);
}

static void long_rows(void)
{
    size_t n = (64 << 20) + 1000;
    char *text = malloc(n + 100);
    struct manifest m;
    struct error e;
    memset(text, 'x', n);
    memcpy(text, "{\"a\":\"", 6);
    strcpy(text + n, "\"}\n{\"a\":1}\n");
    ok(opened(&m, "a.jsonl", text, strlen(text), &e) == 0 && m.rows == 2, "a row of more than 64 MiB is one row %s", e.text);
    json_t *row = manifest_row(&m, 0, &e);
    ok(!row && strstr(e.text, "64 MiB"), "and broken: %s", e.text);
    row = manifest_row(&m, 1, &e);
    ok(row && m.place[1].line == 2, "and what follows is sound");
    json_decref(row);
    manifest_close(&m);
    free(text);
}

static int never(void *ctx, uint64_t a, uint64_t b, struct error *e)
{
    (void)e;
    ++*(int *)ctx;
    return a == 17 && b == 2500017;
}

static void many_ids(void)
{
    struct error e = { 0 };
    struct ids *s = ids_open("set", &e);
    char id[32];
    int asked = 0, r = 0;
    for (uint64_t i = 0; i < 2600000 && r == 0; i++) {
        int n = snprintf(id, sizeof id, "%llu", (unsigned long long)(i == 2500017 ? 17 : i));
        r = ids_add(s, span_of(id, (size_t)n), i, &e);
    }
    uint64_t a = 0, b = 0;
    ok(r == 0 && ids_check(s, never, &asked, &a, &b, &e) == 1 && a == 17 && b == 2500017 && asked == 1,
       "one double among 2.6 million ids is found, by comparing one pair (%d) %s", asked, e.text);
    ids_close(s);
}

static void peek(const char *line, int want, const char *value, const char *name)
{
    struct span v = { 0 };
    int got = json_peek(span_of(line, strlen(line)), "id", &v);
    ok(got == want && (got != 1 || (v.size == strlen(value) && !memcmp(v.data, value, v.size))), "peek: %s", name);
}

static void peeks(void)
{
    peek("{\"a\":{\"id\":\"no\"},\"b\":[\"]\",{\"id\":1}],\"id\":\"yes\"}", 1, "yes",
         "the key of the outer object, not of inner ones");
    peek("{ \"id\" : 42 , \"a\" : 1 }", 1, "42", "a number");
    peek("{\"a\":\"\\\"id\\\":\",\"id\":\"x\"}", 1, "x", "a key's spelling inside a text");
    peek("{\"a\":1}", 0, "", "no such key");
    peek("{}", 0, "", "an empty object");
    peek("{\"id\":\"a\\nb\"}", -1, "", "an escape is left to the parser");
    peek("{\"\\u0069d\":\"a\"}", -1, "", "so is an escaped key");
    peek("{\"id\":1.5}", -1, "", "a real");
    peek("{\"id\":null}", -1, "", "null");
    peek("[1]", -1, "", "a list");
    peek("{\"a\":\"", -1, "", "an open text");
    peek("{\"a\":[[", -1, "", "open lists");
    peek("", -1, "", "nothing");
}

int main(void)
{
    struct error e;
    if (!mkdtemp(dir))
        return 1;
    formats();
    whole_files();
    long_rows();
    many_ids();
    peeks();
    dir_remove(dir, &e);
    return done();
}
