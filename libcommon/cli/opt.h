/* libcommon/cli/opt.h - one option parser for every program
 *
 * A program declares a table; parsing, range checks, --help (with the defaults
 * in force, so that it cannot go stale), --version and the nearest name for an
 * unknown option come from here.  Long options take "--name value" or
 * "--name=value"; "--" ends them.  Misuse is one line on stderr and exit 100. */
#ifndef PENSTOCK_OPT_H
#define PENSTOCK_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_kind {
    OPT_GROUP,                  /* a heading; name is its text */
    OPT_FLAG,                   /* bool: set by its presence */
    OPT_STRING,                 /* const char *: points into argv; NULL when not given */
    OPT_INT,                    /* int64_t within [min, max] */
    OPT_REAL,                   /* double within [min, max] */
    OPT_SIZE,                   /* uint64_t bytes; K M G T suffixes, powers of 1024 */
    OPT_CHOICE,                 /* const char *: one of `choices` */
};

struct opt {
    enum opt_kind kind;
    char letter;                /* 0: none */
    const char *name;           /* without the dashes */
    void *value;                /* what is set; its content before parsing is the default */
    const char *arg;            /* how help names the value: "DIR" */
    const char *help;
    double min, max;            /* OPT_INT, OPT_REAL; both 0: any */
    const char *const *choices; /* OPT_CHOICE: NULL-terminated */
    bool *given;                /* set when the option occurred; may be NULL */
};

struct program {
    const char *name;           /* "mel-features" */
    const char *operands;       /* "MANIFEST" or NULL */
    int min_operands, max_operands;
    const char *summary;        /* one line: what it reads and writes */
    const struct opt *opts;     /* ends with { .name = NULL } */
};

/* What all programs take.  Filled by opt_parse. */
struct common {
    const char *in, *out;       /* --in, --out: NULL means standard input or output */
    const char *metrics;        /* --metrics FILE, or NULL */
    int64_t threads;            /* --threads; 0: as many as there are cores.  1 without OPT_THREADS */
    bool quiet, verbose;
    const char *curve_key, *curve_peers;        /* of tcp:// ends (docs/protocol.7); NULL: none */
    bool insecure;
};

/* For programs without a stream at that end: without the option, or with it, for text.
 * OPT_THREADS: computes with several threads; the others take --threads and use one. */
enum { OPT_NO_IN = 1, OPT_NO_OUT = 2, OPT_TEXT_IN = 4, OPT_TEXT_OUT = 8, OPT_THREADS = 16 };

/* Parses argv and exits on --help, --version or misuse.  Also sets up the log
 * (name, level).  Returns the index of the first operand; their number has
 * been checked. */
int opt_parse(const struct program *p, struct common *c, int ends, int argc, char **argv);

/* What opt_parse was given and filled last: how this program was started.  NULL before. */
const struct common *opt_common(void);
char *const *opt_argv(void);

/* "50G": bytes with K M G T, powers of 1024; false: it is no size. */
bool opt_size(const char *text, uint64_t *bytes);

/* Splits "a,b,c" into a NULL-terminated list: one malloc, free it whole.  NULL if out of memory. */
char **opt_list(const char *text, size_t *n);

/* The nearest of `names` (NULL-terminated) to `word`, or NULL if none is near. */
const char *opt_nearest(const char *word, const char *const *names);

#endif
