/* tests/unit/chat_test.c - talks against what Gemma's own template makes of them */
#include <stdlib.h>

#include "kernels/text/chat.h"
#include "tests/unit/rows.h"
#include "tests/unit/tap.h"

#define GOLDEN "tests/golden/"

struct subject {
    struct tokenizer *t;
    struct encoder *e;
    size_t refused;
};

struct talk {
    struct chat_turn turn[20];
    struct chat_part part[40];
    size_t turns, parts;
};

static struct str str_json(json_t *v)
{
    return str_of(json_string_value(v), json_string_length(v));
}

static bool part_read(struct talk *k, json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    struct chat_part *p = &k->part[k->parts++];

    *p = (struct chat_part){ CHAT_OTHER, { NULL, 0 } };
    if (type && !strcmp(type, "image"))
        p->kind = CHAT_IMAGE;
    if (type && !strcmp(type, "text"))
        *p = (struct chat_part){ CHAT_TEXT, str_json(json_object_get(v, "text")) };
    return true;
}

/* false: content that no talk can have, which is refused before the template is asked */
static bool talk_read(struct talk *k, json_t *messages)
{
    *k = (struct talk){ .turns = json_array_size(messages) };
    for (size_t i = 0; i < k->turns; i++) {
        json_t *m = json_array_get(messages, i), *content = json_object_get(m, "content");
        struct chat_turn *t = &k->turn[i];
        t->role = str_json(json_object_get(m, "role"));
        t->part = &k->part[k->parts];
        if (json_is_string(content))
            k->part[k->parts++] = (struct chat_part){ CHAT_TEXT, str_json(content) };
        else if (json_is_array(content))
            for (size_t j = 0; j < json_array_size(content); j++)
                part_read(k, json_array_get(content, j));
        else if (!json_is_null(content))
            return false;
        t->parts = (size_t)(&k->part[k->parts] - t->part);
    }
    return true;
}

static bool ids_are(const struct tokens *ids, json_t *want)
{
    bool good = ids->n == json_array_size(want);

    for (size_t i = 0; good && i < ids->n; i++)
        good = ids->id[i] == json_integer_value(json_array_get(want, i));
    return good;
}

static bool text_is(const struct text *t, json_t *want)
{
    return t->n == json_string_length(want) && !memcmp(t->s, json_string_value(want), t->n);
}

static bool check_chat(void *ctx, json_t *row)
{
    struct subject *s = ctx;
    char why[WHY];
    struct talk k;
    struct chat_row c = { 0 };
    struct tokens ids = { 0 };
    unsigned char *answer = NULL;
    json_t *want = json_object_get(row, "text");
    bool good;

    if (!talk_read(&k, json_object_get(row, "messages")) ||
        chat_render(chat_find("gemma3_text"), k.turn, k.turns,
                    json_is_true(json_object_get(row, "add_generation_prompt")), &c, why)) {
        s->refused++;
        good = !want;
    } else {
        good = want && text_is(&c.text, want) && !chat_encode(s->t, s->e, &c, &ids, &answer, why) &&
               ids_are(&ids, json_object_get(row, "ids"));
    }
    free(answer);
    tokens_release(&ids);
    chat_release(&c);
    return good;
}

/* Rows for training; those of a bare text are the tokenize program's own affair. */
static bool check_row(void *ctx, json_t *row)
{
    struct subject *s = ctx;
    char why[WHY];
    struct talk k;
    struct chat_row c = { 0 };
    struct tokens ids = { 0 };
    unsigned char *answer = NULL;
    json_t *messages = json_object_get(json_object_get(row, "row"), "messages"), *mask = json_object_get(row, "assistant");
    bool good;

    if (!messages)
        return true;
    if (!talk_read(&k, messages) || chat_render(chat_find("gemma3_text"), k.turn, k.turns, false, &c, why)) {
        good = json_object_get(row, "error") != NULL;
        s->refused++;
    } else {
        good = text_is(&c.text, json_object_get(row, "text")) && !chat_encode(s->t, s->e, &c, &ids, &answer, why) &&
               ids_are(&ids, json_object_get(row, "input_ids"));
        for (size_t i = 0; good && i < ids.n; i++)
            good = answer[i] == json_integer_value(json_array_get(mask, i));
    }
    free(answer);
    tokens_release(&ids);
    chat_release(&c);
    return good;
}

int main(void)
{
    char why[WHY] = "";
    size_t n;
    char *json = rows_slurp(GOLDEN "tokenizer-gemma3/tokenizer.json.xz", &n);
    struct subject s = { .t = json ? tokenizer_new(json, n, why) : NULL };
    struct chat_turn bad = { str_of("user", 4), &(struct chat_part){ CHAT_TEXT, { "\xff", 1 } }, 1 };
    struct chat_row c = { 0 };

    free(json);
    if (!ok(s.t != NULL, "Gemma's tokenizer loads %s", why))
        return done();
    s.e = encoder_new(s.t);
    ok(rows_all(GOLDEN "tokenizer-gemma3/chat.jsonl", check_chat, &s), "talks are rendered and encoded as by the template");
    is_int((long long)s.refused, 10, "and refused where the template refuses");
    s.refused = 0;
    ok(rows_all(GOLDEN "gemma3-sft/rows.jsonl", check_row, &s), "answers are marked as the golden rows mark them");
    is_int((long long)s.refused, 2, "two rows have roles that do not alternate");
    ok(!chat_find("llama"), "a family without a template is not found");
    is_int(chat_render(chat_find("gemma3"), &bad, 1, false, &c, why), TEXT_BAD, "a message that is not UTF-8 is refused");
    is_str(why, "message 1 is not UTF-8", "by its number");
    is_int(chat_render(chat_find("gemma3"), &bad, 0, false, &c, why), TEXT_BAD, "and so is a talk without messages");
    chat_release(&c);
    encoder_free(s.e);
    tokenizer_free(s.t);
    return done();
}
