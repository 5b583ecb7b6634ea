/* tests/unit/store_test.c - stores without a network: paths, files, names; and a hand tool for the tests of servers
 *
 *   store_test get URL | put URL < DATA | write URL < DATA | list PREFIX | stat URL | delete URL | drop PREFIX | crc32c FILE
 *
 * `write` sends what it gets as it comes; `parts` gets in odd pieces. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/store/gs/auth.h"
#include "libcommon/store/gs/google.h"
#include "libcommon/sys/crc32c.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"
#include "tests/unit/tap.h"

static int print_one(void *ctx, const char *url, const struct object_info *i)
{
    (void)ctx;
    return printf("%s %llu\n", url, (unsigned long long)i->size) < 0 ? -1 : 0;
}

static int copy_in(const char *url, bool whole, struct error *e)
{
    enum { PIECE = 1 << 20 };
    static char piece[PIECE];
    struct buf b;
    buf_init(&b, 64 << 20);
    struct store_writer *w = whole ? NULL : store_writer_open(url, e);
    if (!whole && !w)
        return -1;
    ssize_t n;
    while ((n = read(STDIN_FILENO, piece, PIECE)) > 0) {
        buf_append(&b, piece, whole ? (size_t)n : 0);
        if (!whole && store_writer_append(w, piece, (size_t)n, e) < 0) {
            store_writer_abort(w);
            return -1;
        }
    }
    int r = whole ? store_put(url, b.data, b.size, e) : store_writer_commit(w, e);
    buf_release(&b);
    return r;
}

static int tool(const char *what, const char *url)
{
    struct error e = { .status = STATUS_AGAIN };
    struct object_info i;
    struct buf b;
    int r = -1;
    log_open("store_test");
    buf_init(&b, 256 << 20);
    if (!strcmp(what, "get") && (r = store_get(url, &b, &e)) == 0 && b.size)
        fwrite(b.data, 1, b.size, stdout);
    if (!strcmp(what, "parts")) {       /* pieces that are no multiple of anything */
        struct object *o = object_open(url, &e);
        static char piece[300007];
        uint64_t size = o ? object_info(o)->size : 0;
        r = o ? 0 : -1;
        for (uint64_t at = 0; r == 0 && at < size; at += sizeof piece) {
            size_t n = size - at < sizeof piece ? (size_t)(size - at) : sizeof piece;
            if ((r = object_read(o, at, n, piece, &e)) == 0)
                fwrite(piece, 1, n, stdout);
        }
        object_close(o);
    }
    if (!strcmp(what, "put") || !strcmp(what, "write"))
        r = copy_in(url, !strcmp(what, "put"), &e);
    if (!strcmp(what, "list"))
        r = store_list(url, print_one, NULL, &e);
    if (!strcmp(what, "stat") && (r = store_stat(url, &i, &e)) >= 0) {
        printf("%s\n", r ? "there" : "not there");
        r = 0;
    }
    if (!strcmp(what, "crc32c") && (r = store_get(url, &b, &e)) == 0)
        printf("%u\n", crc32c(0, b.data, b.size));
    if (!strcmp(what, "drop"))
        r = store_uploads_drop(url, &e);
    if (!strcmp(what, "delete"))
        r = store_delete(url, &e);
    buf_release(&b);
    if (r < 0)
        warn("%s", e.text);
    return r < 0 ? e.status : 0;
}

static void resolved(const char *base, const char *name, const char *want)
{
    char *got = url_resolve(base, name);
    char text[200];
    snprintf(text, sizeof text, "'%s' beside '%s'", name, base);
    is_str(got, want, text);
    free(got);
}

static int collect(void *ctx, const char *url, const struct object_info *i)
{
    struct buf *b = ctx;
    buf_printf(b, "%s:%llu ", url, (unsigned long long)i->size);
    return 0;
}

static void files(const char *dir)
{
    char path[500], sub[500];
    struct error e = { 0 };
    struct object_info i;
    char byte[10] = "";
    snprintf(path, sizeof path, "%s/a", dir);
    snprintf(sub, sizeof sub, "%s/b", dir);
    dir_make(sub, &e);
    is_int(store_stat(path, &i, &e), 0, "a file that is not there");
    ok(store_put(path, "hello", 5, &e) == 0 && store_stat(path, &i, &e) == 1 && i.size == 5, "a file is put");
    struct object *o = object_open(path, &e);
    ok(o && object_read(o, 1, 3, byte, &e) == 0 && !strcmp(byte, "ell"), "and read by range");
    ok(object_read(o, 3, 3, byte, &e) < 0 && strstr(e.text, "it has 5"), "but not beyond its end: %s", e.text);
    store_put(path, "other", 5, &e);
    ok(object_read(o, 0, 5, byte, &e) == 0 && !memcmp(byte, "hello", 5), "a file that is replaced is read on as it was");
    object_close(o);
    o = object_open(path, &e);
    ok(truncate(path, 2) == 0 && object_read(o, 0, 5, byte, &e) < 0 && strstr(e.text, "changed"),
       "one that is changed in place is an error: %s", e.text);
    object_close(o);
    ok(!object_open(dir, &e) && strstr(e.text, "directory") && !object_open("/dev/null", &e) &&
       strstr(e.text, "device"), "directories and devices are none");
    struct store_writer *w = store_writer_open(path, &e);
    ok(w && store_writer_append(w, "new", 3, &e) == 0 && store_stat(path, &i, &e) == 1 && i.size == 2,
       "what is being written is not seen");
    ok(store_writer_append(w, "er", 2, &e) == 0 && store_writer_commit(w, &e) == 0 && store_stat(path, &i, &e) == 1 &&
       i.size == 5, "until it is whole");
    w = store_writer_open(path, &e);
    store_writer_append(w, "x", 1, &e);
    store_writer_abort(w);
    snprintf(sub, sizeof sub, "%s/b/c", dir);
    store_put(sub, "", 0, &e);
    snprintf(sub, sizeof sub, "%s/b.d", dir);
    store_put(sub, "1", 1, &e);
    struct buf b;
    buf_init(&b, 1 << 20);
    char want[2000];
    snprintf(want, sizeof want, "%s:5 %s:1 %s/b/c:0 ", path, sub, dir);
    snprintf(sub, sizeof sub, "%s/", dir);
    ok(store_list(sub, collect, &b, &e) == 0, "files are listed");
    buf_append(&b, "", 1);
    is_str((char *)b.data, want, "in the order of their names, no part files among them");
    buf_release(&b);
    ok(store_delete(path, &e) == 0 && store_delete(path, &e) == 0 && store_stat(path, &i, &e) == 0,
       "deleting twice is fine");
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return tool(argv[1], argv[2]);
    char dir[] = "/tmp/penstock.XXXXXX";
    struct error e = { 0 };
    if (!mkdtemp(dir))
        return 1;
    resolved("a/m.jsonl", "x.wav", "a/x.wav");
    resolved("m.jsonl", "x.wav", "x.wav");
    resolved("a/m.jsonl", "/x.wav", "/x.wav");
    resolved("gs://b/d/m.jsonl", "c/x.wav", "gs://b/d/c/x.wav");
    resolved("gs://b/d/m.jsonl", "https://h/x.wav", "https://h/x.wav");
    ok(url_is_remote("gs://b/o") && !url_is_remote("a/b://c") && !url_is_remote("C:/x"), "a scheme makes a URL");
    ok(!object_open("ftp://h/x", &e) && strstr(e.text, "no store is known"), "unknown schemes are refused: %s", e.text);
    struct gs_name name;
    ok(gs_name_read("gs://b/a b/c#d", &name, true, &e) == 0 && !strcmp(name.object_escaped, "a%20b%2Fc%23d"),
       "names are escaped whole");
    gs_name_release(&name);
    ok(gs_name_read("gs://b", &name, true, &e) < 0 && gs_name_read("gs:///x", &name, true, &e) < 0,
       "a bucket alone is no object");
    setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", "http://h:1/storage/v1/", 1);
    char *endpoint = gs_endpoint();
    is_str(endpoint, "http://h:1", "gcloud's endpoint setting");
    free(endpoint);
    setenv("STORAGE_EMULATOR_HOST", "h:2", 1);
    endpoint = gs_endpoint();
    is_str(endpoint, "http://h:2", "an emulator without a scheme");
    free(endpoint);
    char *b64 = base64_make("\xfb\xff", 2, true);
    is_str(b64, "-_8", "base64url without padding");
    free(b64);
    uint8_t four[4];
    ok(base64_read(span_of("AAAAAQ==", 8), four, 4) && four[3] == 1 && !base64_read(span_of("AAAA", 4), four, 4),
       "base64 of four bytes");
    files(dir);
    dir_remove(dir, &e);
    return done();
}
