/* cmd/tokenize/chat.c - a row of a talk, or a bare text */
#include <stdlib.h>
#include <string.h>

#include "cmd/tokenize/job.h"

static bool value_text(const struct mp_value *v, struct str *to)
{
    if (v->type != MP_STR)
        return false;
    *to = str_of((const char *)v->bytes.data, v->bytes.size);
    return true;
}

/* {"type": "text", "text": ...}, {"type": "image"}, ... */
static int part_read(struct mp_cursor *c, struct chat_part *to, struct error *e)
{
    struct mp_value v, key, item;
    struct str type = { "", 0 }, text = { NULL, 0 };

    if (mp_read(c, &v) < 0 || v.type != MP_MAP)
        return error_set(e, STATUS_BAD, "a part of its content is no map");
    for (uint32_t i = 0; i < v.n; i++) {
        struct span value;
        if (mp_read(c, &key) < 0 || mp_skip(c, &value) < 0 || mp_read_span(value, &item) < 0)
            return error_set(e, STATUS_BAD, "a part of its content is damaged");
        if (mp_str_is(&key, "type"))
            value_text(&item, &type);
        else if (mp_str_is(&key, "text"))
            value_text(&item, &text);
    }
    *to = (struct chat_part){ CHAT_OTHER, { NULL, 0 } };
    if (type.n == 4 && !memcmp(type.s, "text", 4)) {
        if (!text.s)
            return error_set(e, STATUS_BAD, "a part of type text has no text");
        *to = (struct chat_part){ CHAT_TEXT, text };
    } else if (type.n == 5 && !memcmp(type.s, "image", 5)) {
        to->kind = CHAT_IMAGE;
    } else if (type.n == 5 && !memcmp(type.s, "audio", 5)) {
        to->kind = CHAT_AUDIO;
    }
    return 0;
}

/* A text, a list of parts, or nil. */
static int content_read(struct arena *arena, struct span value, struct chat_turn *to, struct error *e)
{
    struct mp_cursor c = mp_cursor(value);
    struct mp_value v;
    struct chat_part *part;
    size_t n;

    if (mp_read(&c, &v) < 0 || (v.type != MP_STR && v.type != MP_ARRAY && v.type != MP_NIL && v.type != MP_MAP))
        return error_set(e, STATUS_BAD, "its content is neither a text nor a list of parts");
    if (v.type == MP_NIL || v.type == MP_MAP)       /* the template finds no text in them either */
        return 0;
    n = v.type == MP_STR ? 1 : v.n;
    part = arena_alloc(arena, n * sizeof *part + 1);
    if (!part)
        return error_memory(e);
    if (v.type == MP_STR) {
        part->kind = CHAT_TEXT;
        value_text(&v, &part->text);
    } else {
        for (size_t i = 0; i < n; i++)
            if (part_read(&c, &part[i], e) < 0)
                return -1;
    }
    to->part = part;
    to->parts = n;
    return 0;
}

static int turn_read(struct arena *arena, struct mp_cursor *c, struct chat_turn *to, struct error *e)
{
    struct mp_value v, key, role;
    bool content = false;

    *to = (struct chat_turn){ .role = { NULL, 0 } };
    if (mp_read(c, &v) < 0 || v.type != MP_MAP)
        return error_set(e, STATUS_BAD, "it is no map of role and content");
    for (uint32_t i = 0; i < v.n; i++) {
        struct span value;
        if (mp_read(c, &key) < 0 || mp_skip(c, &value) < 0)
            return error_set(e, STATUS_BAD, "it is damaged");
        if (mp_str_is(&key, "role") && mp_read_span(value, &role) == 0)
            value_text(&role, &to->role);
        if (mp_str_is(&key, "content")) {
            content = true;
            if (content_read(arena, value, to, e) < 0)
                return -1;
        }
    }
    if (!to->role.s || !content)
        return error_set(e, STATUS_BAD, "it lacks a role or content");
    return 0;
}

/* The turns of `messages`.  1; 0 absent. */
static int messages_read(const struct sample *s, struct chat_turn **turn, size_t *turns, struct error *e)
{
    struct span value;
    struct mp_cursor c;
    struct mp_value v;

    if (!column_get(s, "messages", &value))
        return 0;
    c = mp_cursor(value);
    if (mp_read(&c, &v) < 0 || (v.type != MP_ARRAY && v.type != MP_NIL))
        return error_set(e, STATUS_BAD, "'messages' is no list");
    if (v.type == MP_NIL)
        return 0;
    *turns = v.n;
    *turn = arena_alloc(s->arena, v.n * sizeof **turn + 1);
    if (!*turn)
        return error_memory(e);
    for (uint32_t i = 0; i < v.n; i++)
        if (turn_read(s->arena, &c, &(*turn)[i], e) < 0)
            return error_prefix(e, "message %u", i + 1);
    return 1;
}

/* A question and an answer in two columns.  1; 0 absent. */
static int pair_read(const struct sample *s, struct chat_turn **turn, size_t *turns, struct error *e)
{
    static const char *const name[][2] = { { "prompt", "response" }, { "prompt", "completion" },
                                           { "instruction", "response" } };
    struct chat_part *part;

    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        struct span there;
        if (!column_get(s, name[i][0], &there) || !column_get(s, name[i][1], &there))
            continue;
        part = arena_alloc(s->arena, 2 * sizeof *part);
        *turn = arena_alloc(s->arena, 2 * sizeof **turn);
        if (!part || !*turn)
            return error_memory(e);
        for (size_t k = 0; k < 2; k++) {
            part[k] = (struct chat_part){ CHAT_TEXT, { "", 0 } };
            if (column_str(s, name[i][k], &part[k].text, e) < 0)
                return -1;
            (*turn)[k] = (struct chat_turn){ k ? str_of("assistant", 9) : str_of("user", 4), &part[k], 1 };
        }
        *turns = 2;
        return 1;
    }
    return 0;
}

/* --- rows ------------------------------------------------------------------------ */

/* The talk's tokens, and which of them are answers. */
static int talk_row(struct job *j, const struct chat_turn *turn, size_t turns, struct error *e)
{
    unsigned char *answer;
    char why[WHY];
    int bad = chat_render(j->chat, turn, turns, false, &j->talk, why);

    if (!bad)
        bad = chat_encode(j->t, j->e, &j->talk, &j->ids, &answer, why);
    if (bad)
        return text_error(bad, why, e);
    bad = learnt_from(j, 1, e);
    if (!bad && strcmp(j->loss_on, "all"))
        memcpy(j->learnt, answer, j->ids.n);
    free(answer);
    return bad;
}

/* A bare text: all of it is learnt, behind one <bos>. */
static int text_row(struct job *j, struct span text, struct error *e)
{
    char why[WHY];
    int bad = encode(j->e, (const char *)text.data, text.size, ADDED_ALL, &j->ids, why);

    if (bad)
        return text_error(bad, why, e);
    if (!j->ids.n || j->ids.id[0] != j->bos) {
        if (tokens_add(&j->ids, 0))
            return error_memory(e);
        memmove(j->ids.id + 1, j->ids.id, (j->ids.n - 1) * sizeof *j->ids.id);
        j->ids.id[0] = j->bos;
    }
    return learnt_from(j, 1, e);
}

/* A talk loses its beginning, behind <bos>, and keeps its last answer whole. */
static int talk_cut(struct job *j, size_t most, struct error *e)
{
    size_t gone = j->ids.n - most, last = j->ids.n;

    while (last && !j->learnt[last - 1])
        last--;
    while (last && j->learnt[last - 1])
        last--;
    if (last < gone + 1 && strcmp(j->loss_on, "all"))
        return error_set(e, STATUS_BAD, "the last answer to the end of the row is %zu tokens, but at most %zu are "
                                        "taken besides <bos>: it would be cut",
                         j->ids.n - last, most - 1);
    memmove(j->ids.id + 1, j->ids.id + 1 + gone, (most - 1) * sizeof *j->ids.id);
    memmove(j->learnt + 1, j->learnt + 1 + gone, most - 1);
    j->ids.n = most;
    return 0;
}

int chat_row(struct job *j, const struct sample *s, struct error *e)
{
    struct chat_turn *turn = NULL;
    struct span text = { NULL, 0 };
    size_t turns = 0, most = (size_t)j->max_length;
    int got = messages_read(s, &turn, &turns, e), rc;
    bool talk;

    if (got == 0)
        got = pair_read(s, &turn, &turns, e);
    talk = got > 0;
    if (got == 0)
        got = sample_str(s, "text", &text, e);
    if (got < 0)
        return -1;
    if (got == 0)
        return error_set(e, STATUS_BAD, "none of 'messages', 'prompt' and 'response', 'text'");
    if ((talk ? talk_row(j, turn, turns, e) : text_row(j, text, e)) < 0)
        return -1;
    if (most && j->ids.n > most) {
        rc = over_long(j, j->ids.n, most, e);
        if (rc <= 0)
            return rc;
        if (talk && talk_cut(j, most, e) < 0)
            return -1;
        j->ids.n = most;
        j->cut++;
    }
    return 1;
}
