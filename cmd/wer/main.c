/* cmd/wer/main.c - lines of generate in, error rates of the whole corpus out */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/shared/cli/max_errors.h"
#include "cmd/wer/score.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/cli/opt.h"
#include "libcommon/cli/text_out.h"
#include "libcommon/format/json.h"
#include "libcommon/sys/log.h"

enum { WORST_MAX = 1000 };

static int result_write(const struct score *s, const char *to, bool json, struct error *e)
{
    struct buf b;
    buf_init(&b, 1 << 30);
    (json ? report_json : report_text)(&b, s);
    struct text_out out;
    struct error late;
    int rc = b.failed ? error_memory(e) : text_out_open(&out, to, e);
    if (rc == 0) {
        rc = text_out_put(&out, b.data, b.size, e);
        if (text_out_close(&out, rc ? &late : e) < 0)
            rc = -1;
    }
    buf_release(&b);
    return rc < 0 && e->status != STATUS_OK ? -1 : 0;       /* a reader that has left has seen enough */
}

static int metrics_write(const struct score *s, const char *to, struct error *e)
{
    *e = (struct error){0};
    struct metrics *m = metrics_open(to, e);
    if (!m)
        return e->status ? -1 : 0;
    metrics_begin(m);
    metrics_str(m, "stage", "wer");
    metrics_str(m, "normalizer", normalizer_name(s->normalizer.kind));
    metrics_real(m, "wer", wer_rate(&s->words));
    metrics_real(m, "cer", wer_rate(&s->characters));
    metrics_int(m, "rows", (int64_t)s->rows);
    metrics_int(m, "failed", (int64_t)s->failed);
    int rc = metrics_end(m, e);
    metrics_close(m);
    return rc;
}

/* --- the program ---------------------------------------------------------------------- */
/* A checkpoint's normalizer.json: {"colour": "color", ...} */
static int spelling_read(struct spelling *s, const char *path, struct error *e)
{
    json_t *j = json_read_file(path, e), *to;
    const char *from;
    if (!j)
        return -1;
    int rc = json_is_object(j) && json_object_size(j) ? 0 : error_set(e, STATUS_BAD, "'%s' is no object of spellings", path);
    json_object_foreach(j, from, to) {
        if (rc == 0 && !json_is_string(to))
            rc = error_set(e, STATUS_BAD, "'%s': the spelling of '%s' is not text", path, from);
        else if (rc == 0 && spelling_add(s, from, json_string_value(to)) < 0)
            rc = error_memory(e);
    }
    json_decref(j);
    return rc;
}

static int run(struct score *s, const struct common *c, const char *spelling, bool json, struct error *e)
{
    bool file = c->in && strcmp(c->in, "-");
    if (spelling && spelling_read(&s->spelling, spelling, e) < 0)
        return -1;
    s->normalizer.spelling = &s->spelling;
    FILE *in = file ? fopen(c->in, "r") : stdin;
    if (!in)
        return error_set(e, error_errno_status(errno), "cannot read '%s': %s", c->in, strerror(errno));
    int rc = score_lines(s, in, file ? c->in : "standard input", e);
    if (file)
        fclose(in);
    if (rc == 0)
        rc = result_write(s, c->out, json, e);
    return rc == 0 ? metrics_write(s, c->metrics, e) : rc;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"none", "basic", "english", NULL};
    const char *kind = "none", *spelling = NULL, *max_errors = MAX_ERRORS_DEFAULT;
    int64_t worst = 5;
    bool json = false;
    struct score s = {0};
    const struct opt opts[] = {
        { OPT_CHOICE, .name = "normalizer", .value = &kind, .choices = kinds,
          .help = "what is made of both texts first" },
        { OPT_STRING, .name = "spelling", .value = &spelling, .arg = "FILE",
          .help = "english: British to American, a checkpoint's normalizer.json" },
        { OPT_FLAG, .name = "remove-diacritics", .value = &s.normalizer.remove_diacritics,
          .help = "basic: without accents and other marks" },
        { OPT_FLAG, .name = "split-letters", .value = &s.normalizer.split_letters,
          .help = "basic: each letter is a word" },
        { OPT_INT, .name = "worst", .value = &worst, .arg = "N", .min = 0, .max = WORST_MAX, .help = "rows to show" },
        { OPT_FLAG, .name = "json", .value = &json, .help = "the result as one JSON object" },
        { OPT_STRING, .name = "max-errors", .value = &max_errors, .arg = "N|P%",
          .help = "failed rows that are still a success" },
        {.name = NULL},
    };
    const struct program program = {
        .name = "wer", .operands = "[FILE]", .min_operands = 0, .max_operands = 1, .opts = opts,
        .summary = "JSON lines with 'reference' and 'text', as generate writes them, become error rates",
    };
    struct common c = {0};
    struct max_errors limit;
    struct error e = {0, ""};
    int operand = opt_parse(&program, &c, OPT_TEXT_IN | OPT_TEXT_OUT, argc, argv);
    if (operand < argc && c.in)
        die(STATUS_BAD, "both '%s' and --in '%s': which?", argv[operand], c.in);
    if (operand < argc)
        c.in = argv[operand];
    if (!max_errors_parse(max_errors, &limit))
        die(STATUS_BAD, "option --max-errors wants a number or a percentage, not '%s'", max_errors);
    if (!normalizer_parse(kind, &s.normalizer.kind))
        die(STATUS_BAD, "no normalizer '%s'", kind);
    if (spelling && s.normalizer.kind != NORMALIZER_ENGLISH)
        die(STATUS_BAD, "--spelling goes with --normalizer english, not %s", kind);
    if ((s.normalizer.remove_diacritics || s.normalizer.split_letters) && s.normalizer.kind != NORMALIZER_BASIC)
        die(STATUS_BAD, "--remove-diacritics and --split-letters go with --normalizer basic, not %s", kind);
    s.worst_room = (size_t)worst;

    int status = STATUS_OK;
    if (run(&s, &c, spelling, json, &e) < 0) {
        warn("%s", e.text);
        status = e.status;
    } else if (max_errors_exceeded(&limit, s.failed, s.rows)) {
        warn("%llu of %llu rows failed, more than --max-errors %s", (unsigned long long)s.failed,
             (unsigned long long)s.rows, max_errors);
        status = STATUS_FAILED_RECORDS;
    }
    score_release(&s);
    return status;
}
