/* libcommon/cli/opt.c - see opt.h; the texts of --help are in opt_help.c */
#include "libcommon/cli/opt.h"
#include "libcommon/cli/opt_help.h"
#include "libcommon/sys/error.h"
#include "libcommon/sys/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the common options, as a table like the program's own ---------------------- */
enum { COMMON_MAX = 14 };

static const struct common *common_last;
static char *const *argv_last;

struct parse {
    const struct program *p;
    struct opt common[COMMON_MAX];
    bool help, version;
};

static void common_table(struct parse *ps, struct common *c, int ends)
{
    struct opt *o = ps->common;
    if (!(ends & OPT_NO_IN))
        *o++ = (struct opt){ OPT_STRING, 'i', "in", &c->in, "FROM", "read here, not standard input", 0, 0, NULL, NULL };
    if (!(ends & OPT_NO_OUT))
        *o++ = (struct opt){ OPT_STRING, 'o', "out", &c->out, "TO", "write here, not standard output", 0, 0, NULL, NULL };
    *o++ = (struct opt){ OPT_STRING, 0, "metrics", &c->metrics, "FILE", "append JSON lines", 0, 0, NULL, NULL };
    if ((ends & (OPT_NO_IN | OPT_NO_OUT)) != (OPT_NO_IN | OPT_NO_OUT)) {
        *o++ = (struct opt){ OPT_STRING, 0, "curve-key", &c->curve_key, "FILE", "own key for tcp:// (keygen)", 0, 0, NULL,
                             NULL };
        *o++ = (struct opt){ OPT_STRING, 0, "curve-peers", &c->curve_peers, "FILE", "keys of those we speak to", 0, 0, NULL,
                             NULL };
        *o++ = (struct opt){ OPT_FLAG, 0, "insecure", &c->insecure, NULL, "no keys: loopback only", 0, 0, NULL, NULL };
    }
    *o++ = (struct opt){ OPT_INT, 0, "threads", &c->threads, "N", "0: one for each core", 0, 4096, NULL, NULL };
    *o++ = (struct opt){ OPT_FLAG, 'q', "quiet", &c->quiet, NULL, "errors only", 0, 0, NULL, NULL };
    *o++ = (struct opt){ OPT_FLAG, 'v', "verbose", &c->verbose, NULL, "say more", 0, 0, NULL, NULL };
    *o++ = (struct opt){ OPT_FLAG, 'h', "help", &ps->help, NULL, "this text", 0, 0, NULL, NULL };
    *o++ = (struct opt){ OPT_FLAG, 0, "version", &ps->version, NULL, "name and version", 0, 0, NULL, NULL };
    *o = (struct opt){ .name = NULL };
}

/* --- the nearest name ------------------------------------------------------------- */
enum { WORD_MAX = 64 };

/* Optimal string alignment: insertions, deletions, changes and swaps of neighbours. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strnlen(a, WORD_MAX), m = strnlen(b, WORD_MAX);
    size_t rows[3][WORD_MAX + 1], *two = rows[0], *one = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        one[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = one[j - 1] + (a[i - 1] != b[j - 1]);
            if (one[j] + 1 < best)
                best = one[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two[j - 2] + 1 < best)
                best = two[j - 2] + 1;
            now[j] = best;
        }
        size_t *free_row = two;
        two = one;
        one = now;
        now = free_row;
    }
    return one[m];
}

/* The name of least distance, however far; *near: is it? */
static const char *closest(const char *word, const char *const *names, bool *near)
{
    const char *best = NULL;
    size_t best_d = SIZE_MAX, n = strlen(word);
    *near = false;
    for (; *names; names++) {
        size_t m = strlen(*names), d = distance(word, *names);
        size_t limit = (n > m ? n : m) / 3 + 1;
        if ((n >= 3 && strstr(*names, word)) || (m >= 5 && strstr(word, *names)))
            d = d < 2 ? d : 2;              /* an abbreviation, a part or a whole is near, however long the rest */
        bool here = d <= limit;
        if (here == *near ? d < best_d : here) {
            best = *names;
            best_d = d;
            *near = here;
        }
    }
    return best;
}

const char *opt_nearest(const char *word, const char *const *names)
{
    bool near;
    const char *name = closest(word, names, &near);
    return near ? name : NULL;
}

_Noreturn static void unknown(const struct parse *ps, const char *dashes, const char *word, size_t n)
{
    const char *names[256];
    size_t k = 0;
    const struct opt *tables[2] = { ps->p->opts, ps->common };
    for (int t = 0; t < 2; t++)
        for (const struct opt *o = tables[t]; o && o->name && k < 255; o++)
            if (o->kind != OPT_GROUP)
                names[k++] = o->name;
    names[k] = NULL;
    char text[WORD_MAX + 1], plain[WORD_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)(n < WORD_MAX ? n : WORD_MAX), word);
    memcpy(plain, text, sizeof plain);
    for (char *s = plain; *s; s++)
        *s = *s == '_' ? '-' : *s;          /* as Python spells them */
    bool near;
    const char *name = closest(plain, names, &near);
    if (near)
        die(STATUS_BAD, "unknown option '%s%s'; the nearest is '--%s'", dashes, text, name);
    die(STATUS_BAD, "unknown option '%s%s'; the nearest is '--%s', which is far: %s --help lists what there is", dashes,
        text, name, ps->p->name);
}

static const struct opt *find(const struct parse *ps, const char *name, size_t n, char letter)
{
    const struct opt *tables[2] = { ps->p->opts, ps->common };
    for (int t = 0; t < 2; t++)
        for (const struct opt *o = tables[t]; o && o->name; o++) {
            if (o->kind == OPT_GROUP)
                continue;
            if (letter ? o->letter == letter : strlen(o->name) == n && !memcmp(o->name, name, n))
                return o;
        }
    return NULL;
}

/* --- values -------------------------------------------------------------------------- */
_Noreturn static void misuse(const struct opt *o, const char *text)
{
    char range[300];
    opt_range(o, range, sizeof range);
    die(STATUS_BAD, "option --%s wants %s, not '%s'", o->name, range, text);
}

bool opt_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    if (*text < '0' || *text > '9')
        return false;                       /* strtoull would take "-1" */
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end) : NULL;
    int shift = unit ? (int)(unit - units + 1) * 10 : 0;
    end += unit != NULL;
    if (errno || *end || v > UINT64_MAX >> shift)
        return false;
    *bytes = v << shift;
    return true;
}

static void set_size(const struct opt *o, const char *text)
{
    uint64_t v;
    if (!opt_size(text, &v))
        misuse(o, text);
    bool bounded = o->min < o->max;
    if (bounded && !((double)v >= o->min && (double)v <= o->max))
        misuse(o, text);
    *(uint64_t *)o->value = v;
}

static void set(const struct opt *o, const char *text)
{
    char *end = NULL;
    bool bounded = o->min < o->max;
    errno = 0;
    switch (o->kind) {
    case OPT_GROUP:
    case OPT_FLAG:
        break;
    case OPT_STRING:
        *(const char **)o->value = text;
        break;
    case OPT_INT: {
        long long v = strtoll(text, &end, 10);
        if (end == text || *end || errno || (bounded && !((double)v >= o->min && (double)v <= o->max)))
            misuse(o, text);
        *(int64_t *)o->value = v;
        break;
    }
    case OPT_REAL: {
        double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v) || (bounded && !(v >= o->min && v <= o->max)))
            misuse(o, text);
        *(double *)o->value = v;
        break;
    }
    case OPT_SIZE:
        set_size(o, text);
        break;
    case OPT_CHOICE: {
        const char *const *c = o->choices;
        while (*c && strcmp(*c, text))
            c++;
        if (!*c)
            misuse(o, text);
        *(const char **)o->value = *c;
        break;
    }
    }
    if (o->given)
        *o->given = true;
}

/* --- the walk over argv ------------------------------------------------------------------ */
static void flag_set(const struct opt *o)
{
    *(bool *)o->value = true;
    if (o->given)
        *o->given = true;
}

/* The value of o: what follows in the word, or the next word.  *i moves over what was used. */
static const char *value_of(const struct opt *o, int argc, char **argv, int *i)
{
    if (*i + 1 >= argc)
        die(STATUS_BAD, "option --%s wants a value: --%s %s", o->name, o->name, opt_arg(o));
    const char *text = argv[++*i];
    if (text[0] == '-' && text[1] == '-' && text[2])
        die(STATUS_BAD, "option --%s wants a value, and '%s' looks like an option; if it is meant, write --%s=%s",
            o->name, text, o->name, text);
    return text;
}

static void long_option(const struct parse *ps, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t n = strcspn(name, "=");
    const char *inner = name[n] ? name + n + 1 : NULL;
    const struct opt *o = find(ps, name, n, 0);
    if (!o)
        unknown(ps, "--", name, n);
    if (o->kind != OPT_FLAG)
        set(o, inner ? inner : value_of(o, argc, argv, i));
    else if (inner)
        die(STATUS_BAD, "option --%s takes no value", o->name);
    else
        flag_set(o);
}

static void short_options(const struct parse *ps, int argc, char **argv, int *i)
{
    for (const char *s = argv[*i] + 1; *s; s++) {
        const struct opt *o = find(ps, NULL, 0, *s);
        if (!o)
            unknown(ps, "-", s, 1);
        if (o->kind != OPT_FLAG) {
            set(o, s[1] ? s + 1 : value_of(o, argc, argv, i));
            return;
        }
        flag_set(o);
    }
}

const struct common *opt_common(void) { return common_last; }
char *const *opt_argv(void) { return argv_last; }

/* A standard descriptor that is closed would be given to the next file opened, and a stream be
 * read from there or written into it: it is made one that fails. */
static void standard_hold(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);      /* the lowest that is free: this one */
    signal(SIGXFSZ, SIG_IGN);                   /* a file over the user's limit is told like a full disk, by write */
}

/* The file at an end, by name or as standard descriptor; what is no file may be both ends. */
static bool file_at(const char *spec, int fd, struct stat *st)
{
    return (spec && strcmp(spec, "-") ? stat(spec, st) : fstat(fd, st)) == 0 && S_ISREG(st->st_mode);
}

/* An output that is the input as well would be emptied before it is read, or read while it grows. */
static void ends_differ(const struct common *c, char *const *operand, int n)
{
    struct stat in, out;
    if (!file_at(c->out, STDOUT_FILENO, &out))
        return;
    for (int i = c->in || !n ? -1 : 0; i < n; i++) {
        const char *spec = i < 0 ? c->in : operand[i];
        if (file_at(spec, STDIN_FILENO, &in) && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            die(STATUS_BAD, "'%s' is both %s and --out: write to another file", spec ? spec : "standard input",
                i < 0 ? "--in" : "what is read");
    }
}

int opt_parse(const struct program *p, struct common *c, int ends, int argc, char **argv)
{
    standard_hold();
    log_open(p->name);
    struct parse ps = { .p = p };
    c->threads = !(ends & OPT_THREADS);
    common_last = c;
    argv_last = argv;
    common_table(&ps, c, ends);

    /* Operands may stand between options: they are gathered at the end of argv, in order. */
    int n_ops = 0, kept = 1;
    char **ops = calloc((size_t)argc + 1, sizeof *ops);
    if (!ops)
        die(STATUS_AGAIN, "out of memory");
    for (int i = 1, only_ops = 0; i < argc; i++) {
        char *word = argv[i];
        int from = i;
        if (only_ops || word[0] != '-' || !word[1]) {
            ops[n_ops++] = word;
            continue;
        }
        if (!strcmp(word, "--"))
            only_ops = 1;
        else if (word[1] == '-')
            long_option(&ps, argc, argv, &i);
        else
            short_options(&ps, argc, argv, &i);
        while (from <= i)
            argv[kept++] = argv[from++];
    }
    memcpy(argv + kept, ops, (size_t)n_ops * sizeof *ops);
    free(ops);

    if (ps.help || ps.version) {
        if (ps.help)
            opt_help(p, ps.common, ends);
        else
            printf("%s %s\n", p->name, PENSTOCK_VERSION);
        if (fflush(stdout) || ferror(stdout))
            die(STATUS_AGAIN, "cannot write to standard output: %s", strerror(errno));
        exit(STATUS_OK);
    }
    if (c->quiet || c->verbose)
        log_level_set(c->quiet ? LOG_QUIET : LOG_VERBOSE);
    if (!(ends & OPT_THREADS) && c->threads != 1)
        debug("--threads %lld: one is used; fan runs several of a program", (long long)c->threads);
    if (n_ops < p->min_operands)
        die(STATUS_BAD, "%s is missing; usage: %s [options] %s", p->operands, p->name, p->operands);
    if (n_ops > p->max_operands)
        die(STATUS_BAD, "unexpected operand '%s'; %s --help says what is taken", argv[kept + p->max_operands], p->name);
    for (int i = 0; i < n_ops; i++)
        if (!*argv[kept + i])                   /* "$DIR" that nobody has set: not what lies at the root */
            die(STATUS_BAD, "operand %d is empty, where %s is wanted", i + 1, p->operands);
    if (!(ends & OPT_NO_OUT))
        ends_differ(c, argv + kept, n_ops);
    return kept;
}

char **opt_list(const char *text, size_t *n)
{
    size_t items = 1, len = strlen(text);
    for (const char *s = text; *s; s++)
        items += *s == ',';
    char **list = malloc((items + 1) * sizeof *list + len + 1);
    if (!list)
        return NULL;
    char *copy = (char *)(list + items + 1);
    memcpy(copy, text, len + 1);
    size_t k = 0;
    for (char *s = copy; s;) {
        char *comma = strchr(s, ',');
        if (comma)
            *comma++ = 0;
        if (*s)
            list[k++] = s;
        s = comma;
    }
    list[k] = NULL;
    *n = k;
    return list;
}
