/* libcommon/manifest/import/kaldi.c - Kaldi's data directories as rows
 *
 * https://kaldi-asr.org/doc/data_prep.html: lines of a key, a blank and a value,
 * sorted by key.  Files are read side by side, so that none is held in memory;
 * only wav.scp is where `segments` cut recordings. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/manifest/import/import_impl.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/buf.h"
#include "libcommon/sys/file.h"

/* --- one file of keys ------------------------------------------------------------------ */

struct keyed {
    FILE *file;
    char *path, *line, *key, *value;
    size_t room;
    uint64_t number;
};

/* 0 also if there is no such file, unless it is needed. */
static int keyed_open(struct keyed *k, const char *dir, const char *name, bool needed, struct error *e)
{
    *k = (struct keyed){ .path = path_join(dir, name) };
    if (!k->path)
        return error_memory(e);
    k->file = fopen(k->path, "re");
    if (!k->file && (needed || errno != ENOENT))
        return error_set(e, error_errno_status(errno), "'%s': %s%s", k->path, strerror(errno),
                         needed ? "; a manifest may be a directory of Kaldi's, with a wav.scp" : "");
    return 0;
}

static void keyed_close(struct keyed *k)
{
    if (k->file)
        fclose(k->file);
    free(k->path);
    free(k->line);
}

static bool keyed_next(struct keyed *k)
{
    ssize_t n = k->file ? getline(&k->line, &k->room, k->file) : -1;
    if (n < 0) {
        k->key = NULL;
        return false;
    }
    while (n && strchr("\r\n", k->line[n - 1]))
        k->line[--n] = 0;
    k->number++;
    k->key = k->line;
    size_t length = strcspn(k->line, " \t");
    k->value = k->line + length + (k->line[length] ? 1 : 0);
    k->value += strspn(k->value, " \t");
    k->line[length] = 0;
    return true;
}

/* The value of `key` in a file that is sorted like the one the key is from; NULL: none. */
static const char *keyed_find(struct keyed *k, const char *key)
{
    while (k->key && strcmp(k->key, key) < 0)
        keyed_next(k);
    return k->key && !strcmp(k->key, key) ? k->value : NULL;
}

/* --- rows -------------------------------------------------------------------------------- */

struct kaldi {
    struct keyed wav, text, length, language, segments;
    json_t *recordings;         /* where there are segments: wav.scp */
    char *dir, *here;           /* whole paths, without links: of the directory, and where we run */
    int fd;
};

/* A path of wav.scp, which is relative to where we run, as seen from the directory of
 * wav.scp; other whole paths stay.  malloc'd. */
static char *path_seen(const struct kaldi *k, const char *value)
{
    char *whole, *seen;
    bool absolute = *value == '/';
    if (url_is_remote(value))
        return strdup(value);
    if (asprintf(&whole, "%s/%s", absolute ? "" : k->here, absolute ? value + 1 : value) < 0)
        return NULL;
    size_t same = 0;            /* they agree up to a slash, or the end of dir */
    for (size_t i = 0; k->dir[i] == whole[i] || (!k->dir[i] && whole[i] == '/'); i++) {
        if (!k->dir[i] || k->dir[i] == '/')
            same = i;
        if (!k->dir[i])
            break;
    }
    bool inside = !k->dir[same];
    if (absolute && !inside)
        return whole;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (const char *at = k->dir + same; (at = strchr(at, '/')); at++)
        buf_printf(&b, "../");
    buf_printf(&b, "%s", whole + same + 1);
    buf_append(&b, "", 1);
    seen = b.failed ? NULL : strdup((char *)b.data);
    buf_release(&b);
    free(whole);
    return seen;
}

static json_t *sound_of(const struct kaldi *k, const char *value)
{
    size_t n = strlen(value);
    if (n && value[n - 1] == '|')
        return json_pack("{s:s}", "error", "wav.scp has a command here, and commands are not run: write the sound to "
                                           "a file");
    char *seen = path_seen(k, value);
    json_t *v = seen ? json_string(seen) : NULL;
    free(seen);
    return v ? v : json_pack("{s:s}", "error", "its path is not UTF-8");
}

static int row_write(struct kaldi *k, json_t *row, const char *key, struct error *e)
{
    const char *text = keyed_find(&k->text, key), *language = keyed_find(&k->language, key),
               *length = keyed_find(&k->length, key);
    json_t *id = json_string(key);
    if (!id)
        id = json_sprintf("line-%llu", (unsigned long long)(k->segments.file ? k->segments.number : k->wav.number));
    json_object_set_new(row, "id", id);
    json_t *said = text ? json_string(text) : NULL;
    if (said)
        json_object_set_new(row, "text", said);
    else if (text)
        json_object_set_new(row, "audio", json_pack("{s:s}", "error", "its text is not UTF-8"));
    if (language)
        json_object_set_new(row, "language", json_string(language));
    if (length && !json_object_get(row, "duration"))
        json_object_set_new(row, "duration", json_real(strtod(length, NULL)));
    return import_row_write(k->fd, row, k->dir, e);
}

static int segment_write(struct kaldi *k, struct error *e)
{
    char recording[1024];
    double from, to;
    json_t *row = json_object();
    if (sscanf(k->segments.value, "%1023s %lf %lf", recording, &from, &to) != 3 || !(from >= 0) || !(to > from)) {
        json_object_set_new(row, "audio", json_pack("{s:s}", "error",
                                                    "its line of segments is not: id recording begin end"));
        return row_write(k, row, k->segments.key, e);
    }
    json_t *sound = json_object_get(k->recordings, recording);
    if (sound)
        json_object_set(row, "audio", sound);
    else
        json_object_set_new(row, "audio", json_pack("{s:s}", "error", "its recording is not in wav.scp"));
    json_object_set_new(row, "offset", json_real(from));
    json_object_set_new(row, "duration", json_real(to - from));
    return row_write(k, row, k->segments.key, e);
}

/* What is joined by walking side by side must be sorted. */
static int order_check(const struct keyed *k, char last[256], struct error *e)
{
    if (*last && strncmp(last, k->key, 255) > 0)
        return error_set(e, STATUS_BAD, "'%s' line %llu: '%s' is not sorted behind '%s' (LC_ALL=C sort; "
                                        "utils/fix_data_dir.sh)", k->path,
                         (unsigned long long)k->number, k->key, last);
    snprintf(last, 256, "%s", k->key);
    return 0;
}

static int rows_write(struct kaldi *k, struct error *e)
{
    char last[256] = "";
    int bad = 0;
    keyed_next(&k->text);
    keyed_next(&k->language);
    keyed_next(&k->length);
    if (!k->segments.file) {
        while (!bad && keyed_next(&k->wav))
            if ((bad = order_check(&k->wav, last, e)) == 0)
                bad = row_write(k, json_pack("{s:o}", "audio", sound_of(k, k->wav.value)), k->wav.key, e);
        return bad;
    }
    if (!(k->recordings = json_object()))
        return error_memory(e);
    while (keyed_next(&k->wav))
        json_object_set_new(k->recordings, k->wav.key, sound_of(k, k->wav.value));
    while (!bad && keyed_next(&k->segments))
        if ((bad = order_check(&k->segments, last, e)) == 0)
            bad = segment_write(k, e);
    return bad;
}

int import_kaldi(const char *dir, int fd, struct error *e)
{
    struct kaldi k = { .fd = fd };
    int bad = keyed_open(&k.wav, dir, "wav.scp", true, e);
    if (!bad)
        bad = keyed_open(&k.text, dir, "text", false, e) < 0 || keyed_open(&k.language, dir, "utt2lang", false, e) < 0 ||
              keyed_open(&k.length, dir, "utt2dur", false, e) < 0 || keyed_open(&k.segments, dir, "segments", false, e) < 0;
    k.dir = realpath(dir, NULL);
    k.here = realpath(".", NULL);
    if (!bad && (!k.dir || !k.here))
        bad = error_set(e, error_errno_status(errno), "'%s': %s", dir, strerror(errno));
    if (!bad)
        bad = rows_write(&k, e);
    free(k.dir);
    free(k.here);
    keyed_close(&k.wav);
    keyed_close(&k.text);
    keyed_close(&k.language);
    keyed_close(&k.length);
    keyed_close(&k.segments);
    json_decref(k.recordings);
    return bad ? -1 : 0;
}
