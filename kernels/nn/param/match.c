/* kernels/nn/param/match.c - choosing parameters by name: lists of name parts, or regular expressions */
#include "kernels/nn/param/param.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct match {
    char *text;                 /* a list: items separated by NULs */
    size_t size;
    pcre2_code *code, *whole;   /* an expression, as it is and as ^(?:...)$ */
};

static pcre2_code *compile(const char *pattern, char why[WHY])
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *c = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &at, NULL);
    if (!c) {
        char said[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)said, sizeof said);
        snprintf(why, WHY, "'%.80s' is no regular expression: %.80s", pattern, said);
    }
    return c;
}

struct match *match_new(const char *pattern, char why[WHY])
{
    struct match *m = calloc(1, sizeof *m);
    size_t n = strlen(pattern);
    char *text = malloc(n + sizeof "^(?:)$");
    if (!m || !text) {
        free(m);
        free(text);
        snprintf(why, WHY, "out of memory");
        return NULL;
    }
    m->text = text;
    if (strpbrk(pattern, "\\*+?()[]{}|^$")) {
        m->code = compile(pattern, why);
        sprintf(text, "^(?:%s)$", pattern);
        m->whole = m->code ? compile(text, why) : NULL;
        if (!m->whole) {
            match_free(m);
            return NULL;
        }
        return m;
    }
    m->size = n + 1;
    memcpy(text, pattern, n + 1);
    for (size_t i = 0; i < n; i++)
        if (text[i] == ',' || text[i] == ' ')
            text[i] = 0;
    return m;
}

void match_free(struct match *m)
{
    if (!m)
        return;
    pcre2_code_free(m->code);
    pcre2_code_free(m->whole);
    free(m->text);
    free(m);
}

static bool expression_matches(const pcre2_code *code, const char *text, size_t n)
{
    pcre2_match_data *d = pcre2_match_data_create(1, NULL);
    bool yes = d && pcre2_match(code, (PCRE2_SPTR)text, n, 0, 0, d, NULL) >= 0;
    pcre2_match_data_free(d);
    return yes;
}

/* Is item one or more whole parts of name[0..n), with `last` the last ones? */
static bool parts_of(const char *name, size_t n, const char *item, bool last)
{
    size_t k = strlen(item);
    for (size_t i = 0; k && i + k <= n; i++)
        if (!strncmp(name + i, item, k) && (i == 0 || name[i - 1] == '.') && (i + k == n || (!last && name[i + k] == '.')))
            return true;
    return false;
}

static bool item_matches(const struct match *m, const char *name, size_t n, bool last)
{
    for (size_t at = 0; at < m->size; at += strlen(m->text + at) + 1)
        if (parts_of(name, n, m->text + at, last))
            return true;
    return false;
}

static size_t module_length(const char *name)
{
    size_t n = strlen(name);
    if (n > 7 && !strcmp(name + n - 7, ".weight"))
        return n - 7;
    if (n > 5 && !strcmp(name + n - 5, ".bias"))
        return n - 5;
    return n;
}

bool match_module(const struct match *m, const char *name)
{
    size_t n = module_length(name);
    return m->whole ? expression_matches(m->whole, name, n) : item_matches(m, name, n, true);
}

bool match_tensor(const struct match *m, const char *name)
{
    size_t n = strlen(name);
    return m->code ? expression_matches(m->code, name, n) : item_matches(m, name, n, false);
}

size_t params_freeze(struct params *ps, const struct match *m)
{
    size_t n = 0;
    for (size_t i = 0; i < ps->n; i++)
        if (match_tensor(m, ps->p[i]->name)) {
            ps->p[i]->trained = false;
            n++;
        }
    return n;
}
