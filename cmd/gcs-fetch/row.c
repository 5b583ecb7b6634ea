/* cmd/gcs-fetch/row.c - see row.h
 *
 * A column is used at most once; what is left goes on under `row`. */
#include "cmd/gcs-fetch/row.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/gcs-fetch/media.h"
#include "libcommon/format/json.h"
#include "libcommon/plan/source.h"
#include "libcommon/stream/format/json_mp.h"

static const char *const audio_names[] = { "audio", "audio_filepath", "audio_path", "path", NULL };
static const char *const image_names[] = { "image", "image_path", NULL };
static const char *const audio_endings[] = { ".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".aiff", ".aif", ".au",
                                             ".caf", ".w64", ".m4a", NULL };
static const char *const image_endings[] = { ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", NULL };
const char *const row_texts[] = { "text", "text_perfect", "sentence", "transcription", "caption", NULL };
static const char *const pairs[][2] = { { "prompt", "response" }, { "instruction", "response" },
                                        { "prompt", "completion" } };

static bool present(const json_t *row, const char *name)
{
    json_t *v = json_object_get(row, name);
    return v && !json_is_null(v);
}

/* The column that is meant: the one that was set, or the first of the usual ones that is there. */
static const char *column_find(const json_t *row, const char *set, const char *const *names)
{
    if (set)
        return present(row, set) ? set : NULL;
    for (; *names; names++)
        if (present(row, *names))
            return *names;
    return NULL;
}

/* The column of sound or pictures.  Folders of Hugging Face's datasets call either file_name: its ending tells. */
static const char *media_column(const json_t *row, const char *set, const char *const *names, const char *const *endings)
{
    const char *column = column_find(row, set, names), *file = json_string_value(json_object_get(row, "file_name"));
    const char *dot = file ? strrchr(file, '.') : NULL;
    for (; !column && !set && dot && *endings; endings++)
        if (!strcasecmp(dot, *endings))
            column = "file_name";
    return column;
}

static void pair_find(const struct columns *c, const json_t *row, const char **prompt, const char **response)
{
    *prompt = *response = NULL;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *p = c->prompt ? c->prompt : pairs[i][0], *r = c->response ? c->response : pairs[i][1];
        if (present(row, p) && present(row, r)) {
            *prompt = p;
            *response = r;
            return;
        }
    }
}

int row_columns(const struct columns *c, const json_t *row, char *text, size_t size)
{
    const char *prompt, *response, *messages = c->messages ? c->messages : "messages";
    pair_find(c, row, &prompt, &response);
    struct { const char *role, *name; } found[] = {
        { "audio", media_column(row, c->audio, audio_names, audio_endings) },
        { "image", media_column(row, c->image, image_names, image_endings) },
        { "text", column_find(row, c->text, row_texts) }, { "prompt", prompt }, { "response", response },
        { "messages", present(row, messages) ? messages : NULL },
    };
    int n = 0;
    size_t used = 0;
    *text = 0;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        if (found[i].name && used < size) {
            used += (size_t)snprintf(text + used, size - used, "%s%s '%s'", n ? ", " : "", found[i].role, found[i].name);
            n++;
        }
    return n;
}

/* --- media ---------------------------------------------------------------------- */

/* Where the bytes are that a value names; m->url is malloc'd. */
static int media_find(const struct row_source *r, const json_t *v, const char *column, struct media *m, struct error *e)
{
    if (json_is_object(v)) {    /* {"path": ...}, as datasets writes it; of an archive what import.h adds */
        const char *why = json_string_value(json_object_get(v, "error"));
        json_t *at = json_object_get(v, "at"), *size = json_object_get(v, "size");
        if (why)
            return error_set(e, STATUS_BAD, "%s", why);
        json_t *generation = json_object_get(v, "generation");
        if (json_integer_value(generation) > 0)
            m->generation = (uint64_t)json_integer_value(generation);
        m->part = json_integer_value(at) > 0 && json_is_integer(size) && json_integer_value(size) >= 0;
        m->at = m->part ? (uint64_t)json_integer_value(at) : 0;
        m->size = m->part ? (uint64_t)json_integer_value(size) : 0;
        v = json_object_get(v, "path");
    }
    const char *name = json_string_value(v);
    if (!name || !*name || strlen(name) != json_string_length(v))
        return error_set(e, STATUS_BAD, "column '%s' holds no file name", column);
    m->url = url_resolve(r->base, name);
    return m->url ? 0 : error_memory(e);
}

/* What a listing says of an object (gcs-fetch --list): the version that is wanted, or 0. */
static uint64_t generation_of(const json_t *row)
{
    json_t *v = json_object_get(row, "generation");
    if (json_is_string(v))
        return strtoull(json_string_value(v), NULL, 10);
    return json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

/* The map of a plan, up to the URL (media.h). */
static void plan_begin(const struct media *m, const char *key, struct buf *b)
{
    mp_put_map(b, 1u + (m->generation ? 1u : 0u) + (m->part ? 2u : 0u));
    if (m->generation) {
        mp_put_str(b, "generation");
        mp_put_uint(b, m->generation);
    }
    if (m->part) {
        mp_put_str(b, "at");
        mp_put_uint(b, m->at);
        mp_put_str(b, "size");
        mp_put_uint(b, m->size);
    }
    mp_put_str(b, key);
}

/* A file, or a list of files, as field `key` (of a plan: as that entry of `media`). */
static int media_put(const struct row_source *r, const json_t *row, const char *column, const char *key, struct sample *s,
                     size_t *room, struct error *e)
{
    json_t *v = json_object_get(row, column);
    uint64_t generation = json_is_array(v) ? 0 : generation_of(row);
    bool none = json_is_string(v) && !json_string_length(v);    /* an empty CSV field */
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    struct buf b;
    int bad = 0;
    buf_init(&b, *room + 4096);
    for (size_t i = 0; bad == 0 && !none && i < n; i++) {
        struct media m = { .generation = generation };
        if (media_find(r, json_is_array(v) ? json_array_get(v, i) : v, column, &m, e) < 0) {
            bad = -1;
            break;
        }
        if (i == 0 && r->plan_only)
            plan_begin(&m, key, &b);
        if (i == 0 && json_is_array(v))
            mp_put_array(&b, (uint32_t)n);
        if (r->plan_only)
            mp_put_str(&b, m.url);
        else
            bad = media_read(&m, &b, *room, e);
        free((char *)m.url);
    }
    none |= b.size == 0;
    if (bad == 0 && !none) {
        char field[40];
        snprintf(field, sizeof field, "%s%s", r->plan_only ? MEDIA_PLAN : "", key);
        bad = sample_put_raw(s, field, span_of(b.data, b.size), e);
        *room -= b.size < *room ? b.size : *room;
    }
    buf_release(&b);
    return bad;
}

/* --- texts ---------------------------------------------------------------------- */

static int text_put(const json_t *row, const char *column, const char *key, struct sample *s, struct error *e)
{
    json_t *v = json_object_get(row, column);
    if (!json_is_string(v))
        return error_set(e, STATUS_BAD, "column '%s' is no text", column);
    return sample_put_str(s, key, json_string_value(v), json_string_length(v), e);
}

static int value_put(const json_t *v, const char *what, const char *key, struct sample *s, struct error *e)
{
    struct buf b;
    buf_init(&b, UNIT_MAX);
    int bad = json_to_mp(v, &b);
    if (bad < 0)
        error_set(e, STATUS_BAD, "%s: nested too deep, or too many keys", what);
    else if (b.failed)
        bad = error_memory(e);
    else
        bad = sample_put_raw(s, key, span_of(b.data, b.size), e);
    buf_release(&b);
    return bad;
}

static int messages_put(const json_t *row, const char *column, struct sample *s, struct error *e)
{
    json_t *v = json_object_get(row, column), *parsed = NULL;
    json_error_t why;
    if (json_is_string(v))              /* of a CSV */
        v = parsed = json_load_row(span_of(json_string_value(v), json_string_length(v)), &why);
    int bad = json_is_array(v) ? value_put(v, column, "messages", s, e)
                               : error_set(e, STATUS_BAD, "column '%s' is no list of messages", column);
    json_decref(parsed);
    return bad;
}

/* Texts become the turns of a user and of the assistant; lists of turns are joined. */
static int pair_put(const json_t *row, const char *prompt, const char *response, struct sample *s, struct error *e)
{
    json_t *p = json_object_get(row, prompt), *r = json_object_get(row, response), *turns = NULL;
    if (json_is_string(p) && json_is_string(r)) {
        turns = json_pack("[{s:s,s:O},{s:s,s:O}]", "role", "user", "content", p, "role", "assistant", "content", r);
    } else if (json_is_array(p) && json_is_array(r)) {
        turns = json_copy(p);
        if (turns && json_array_extend(turns, r) < 0) {
            json_decref(turns);
            turns = NULL;
        }
    } else {
        return error_set(e, STATUS_BAD, "columns '%s' and '%s' are neither both text nor both lists of messages", prompt,
                         response);
    }
    if (!turns)
        return error_memory(e);
    int bad = value_put(turns, prompt, "messages", s, e);
    json_decref(turns);
    return bad;
}

/* A number, or the text of one; what is neither stays an ordinary column. */
static bool number_of(const json_t *v, double *to)
{
    *to = json_number_value(v);
    if (json_is_string(v) && json_string_length(v)) {
        char *end;
        errno = 0;
        *to = strtod(json_string_value(v), &end);
        if (*end || errno)
            return false;
    } else if (!json_is_number(v)) {
        return false;
    }
    return isfinite(*to);
}

/* --- the row ---------------------------------------------------------------------- */

static int texts_put(const struct columns *c, json_t *row, struct sample *s, struct error *e)
{
    const char *text = column_find(row, c->text, row_texts), *prompt, *response;
    const char *messages = c->messages ? c->messages : "messages", *language = c->language ? c->language : "language";
    const char *duration = c->duration ? c->duration : "duration";
    pair_find(c, row, &prompt, &response);
    bool chat = present(row, messages);
    if (text && text_put(row, text, "text", s, e) < 0)
        return -1;
    if (chat && messages_put(row, messages, s, e) < 0)
        return -1;
    if (prompt && !chat && pair_put(row, prompt, response, s, e) < 0)
        return -1;
    json_t *v = json_object_get(row, language);
    bool spoken = present(row, language) && !(json_is_string(v) && json_string_length(v) == 0);
    if (spoken && text_put(row, language, "language", s, e) < 0)
        return -1;
    double seconds;
    bool timed = number_of(json_object_get(row, duration), &seconds);
    if (timed && sample_put_real(s, "duration", seconds, e) < 0)
        return -1;
    /* Deleted last: the names may be the row's own keys. */
    const char *used[] = { text, chat ? messages : NULL, chat ? NULL : prompt, chat ? NULL : response, language,
                           timed ? duration : NULL };
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        if (used[i])
            json_object_del(row, used[i]);
    return 0;
}

int row_sample(const struct row_source *r, json_t *row, struct sample *s, size_t room, struct error *e)
{
    const struct columns *c = &r->columns;
    const char *audio = media_column(row, c->audio, audio_names, audio_endings);
    const char *image = media_column(row, c->image, image_names, image_endings);
    if (audio && media_put(r, row, audio, "audio", s, &room, e) < 0)
        return -1;
    if (image && media_put(r, row, image, "image", s, &room, e) < 0)
        return -1;
    if (audio)
        json_object_del(row, audio);
    if (image)
        json_object_del(row, image);
    json_object_del(row, c->id ? c->id : "id");
    if (texts_put(c, row, s, e) < 0)
        return -1;
    return json_object_size(row) ? value_put(row, "the row", "row", s, e) : 0;
}
