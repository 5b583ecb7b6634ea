/* kernels/text/chat.c - see chat.h */
#include "kernels/text/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/text/tokenizer/split.h"
#include "kernels/text/utf8.h"

/* The families differ in these strings; all put a system text in front of the
 * first user's, and call the assistant "model". */
struct chat_template {
    const char *model_type;
    const char *image, *audio;  /* what stands for one; NULL: the family has none */
};

static const struct chat_template families[] = {
    { "gemma3_text", "<start_of_image>", NULL },
    { "gemma3", "<start_of_image>", NULL },
    { "gemma3n_text", "<image_soft_token>", "<audio_soft_token>" },
    { "gemma3n", "<image_soft_token>", "<audio_soft_token>" },
};

const struct chat_template *chat_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(model_type, families[i].model_type))
            return &families[i];
    return NULL;
}

static bool role_is(struct str role, const char *name)
{
    return role.n == strlen(name) && !memcmp(role.s, name, role.n);
}

/* As Python's strip: White_Space and the four separators U+001C to U+001F. */
static bool blank(uint32_t c)
{
    return space_is(c) || (c >= 0x1c && c <= 0x1f);
}

static struct str trim(struct str s)
{
    uint32_t c;

    while (s.n) {
        size_t size = utf8_read(s.s, &c);
        if (!blank(c))
            break;
        s = str_of(s.s + size, s.n - size);
    }
    while (s.n) {
        size_t at = s.n - 1;
        while (at && ((unsigned char)s.s[at] & 0xc0) == 0x80)
            at--;
        utf8_read(s.s + at, &c);
        if (!blank(c))
            break;
        s.n = at;
    }
    return s;
}

static int memory(char why[WHY])
{
    snprintf(why, WHY, "out of memory");
    return TEXT_MEMORY;
}

static int put_part(const struct chat_template *c, const struct chat_part *part, struct text *out, char why[WHY])
{
    struct str s;
    const char *sign;

    if (part->kind == CHAT_TEXT) {
        s = trim(part->text);
        return text_add(out, s.s, s.n) ? memory(why) : 0;
    }
    if (part->kind == CHAT_OTHER || (part->kind == CHAT_AUDIO && !c->audio))
        return 0;                       /* the template passes over what it does not know */
    sign = part->kind == CHAT_IMAGE ? c->image : c->audio;
    return text_puts(out, sign) ? memory(why) : 0;
}

/* One turn; `before` is the system text, for the first. */
static int put_turn(const struct chat_template *c, const struct chat_turn *turn, struct str before,
                    struct chat_row *row, char why[WHY])
{
    struct text *out = &row->text;
    bool model = role_is(turn->role, "assistant") || role_is(turn->role, "model");
    size_t begin;
    int bad;

    if (text_puts(out, "<start_of_turn>") || (model ? text_puts(out, "model") : text_add(out, turn->role.s, turn->role.n)) ||
        text_puts(out, "\n"))
        return memory(why);
    begin = out->n;
    if (before.s && (text_add(out, before.s, before.n) || text_puts(out, "\n\n")))
        return memory(why);
    for (size_t i = 0; i < turn->parts; i++)
        if ((bad = put_part(c, &turn->part[i], out, why)))
            return bad;
    if (text_puts(out, "<end_of_turn>\n"))
        return memory(why);
    if (model) {
        if (grow(&row->span, &row->room, row->spans, 1, sizeof *row->span))
            return memory(why);
        row->span[row->spans++] = (struct chat_span){ begin, out->n };
    }
    return 0;
}

/* The texts are trimmed by code points: they must be UTF-8 before anything else. */
static int check_texts(const struct chat_turn *turn, size_t turns, char why[WHY])
{
    for (size_t i = 0; i < turns; i++) {
        bool good = utf8_valid(turn[i].role.s, turn[i].role.n) == turn[i].role.n;
        for (size_t k = 0; k < turn[i].parts; k++) {
            struct str s = turn[i].part[k].text;
            good = good && (turn[i].part[k].kind != CHAT_TEXT || utf8_valid(s.s, s.n) == s.n);
        }
        if (!good) {
            snprintf(why, WHY, "message %zu is not UTF-8", i + 1);
            return TEXT_BAD;
        }
    }
    return 0;
}

int chat_render(const struct chat_template *c, const struct chat_turn *turn, size_t turns, bool prompt,
                struct chat_row *row, char why[WHY])
{
    struct str before = { NULL, 0 };
    size_t first = 0;
    int bad;

    row->text.n = 0;
    row->spans = 0;
    if (!turns) {
        snprintf(why, WHY, "no messages");
        return TEXT_BAD;
    }
    if ((bad = check_texts(turn, turns, why)))
        return bad;
    if (role_is(turn[0].role, "system")) {
        if (!turn[0].parts || turn[0].part[0].kind != CHAT_TEXT) {
            snprintf(why, WHY, "the system message does not begin with a text");
            return TEXT_BAD;
        }
        before = turn[0].part[0].text;
        if (!before.s)
            before.s = "";
        first = 1;
    }
    if (text_puts(&row->text, "<bos>"))
        return memory(why);
    for (size_t i = first; i < turns; i++) {
        bool user = role_is(turn[i].role, "user");
        if (user != ((i - first) % 2 == 0)) {
            snprintf(why, WHY, "message %zu is by '%.*s': roles must alternate user, assistant, user, assistant, ...", i + 1,
                     (int)(turn[i].role.n < 40 ? turn[i].role.n : 40), turn[i].role.s);
            return TEXT_BAD;
        }
        if ((bad = put_turn(c, &turn[i], i == first ? before : str_of(NULL, 0), row, why)))
            return bad;
    }
    return prompt && text_puts(&row->text, "<start_of_turn>model\n") ? memory(why) : 0;
}

void chat_release(struct chat_row *row)
{
    text_release(&row->text);
    free(row->span);
    *row = (struct chat_row){ 0 };
}

int chat_encode(const struct tokenizer *t, struct encoder *e, const struct chat_row *row, struct tokens *ids,
                unsigned char **answer, char why[WHY])
{
    size_t from = ids->n, n, *end, span = 0;
    int bad = encode(e, row->text.s, row->text.n, ADDED_ALL, ids, why);

    *answer = NULL;
    if (bad)
        return bad;
    n = ids->n - from;
    end = malloc((n + 1) * sizeof *end);
    *answer = calloc(n + 1, 1);
    if (!end || !*answer) {
        free(end);
        free(*answer);
        *answer = NULL;
        ids->n = from;
        return memory(why);
    }
    if (encode_offsets(t, ids->id + from, n, row->text.s, row->text.n, end)) {
        snprintf(why, WHY, "the tokens do not spell the text");
        bad = TEXT_BAD;
    }
    for (size_t i = 0; i < n && !bad; i++) {
        size_t begin = i ? end[i - 1] : 0;
        while (span < row->spans && row->span[span].end <= begin)
            span++;
        (*answer)[i] = span < row->spans && end[i] > row->span[span].begin;
    }
    free(end);
    return bad;
}
