/* cmd/gcs-fetch/main.c - a manifest and the media it names become a stream of samples
 *
 * The order of rows and their division into units are a plan (libcommon/plan): a
 * pure function of the manifest (libcommon/manifest) and the options, so that any
 * unit can be made again, and a run can begin anywhere.  A row that cannot be used
 * becomes an error record and is counted; the run goes on. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/gcs-fetch/list.h"
#include "cmd/gcs-fetch/media.h"
#include "cmd/gcs-fetch/row.h"
#include "libcommon/manifest/import/import.h"
#include "libcommon/plan/plan.h"
#include "libcommon/plan/source.h"
#include "libcommon/sys/log.h"

enum { ROWS_LOOKED_AT = 100, UNIT_SPARE = 64 << 10 };

static struct {
    const char *base, *format, *token_file;
    const char *cache;
    uint64_t cache_size;
    bool list, no_auth, plan_only, fetch;
    struct columns columns;
    int64_t epochs, seed, limit, start, unit, jobs;
    bool shuffle;
    const char *over_long;
    double chunk;
} set = { .epochs = 1, .seed = 42, .unit = 1, .jobs = 32, .cache_size = UINT64_C(50) << 30,
          .over_long = "whole", .chunk = 30 };

static const char *const policies[] = { "whole", "split", NULL };
static const char *const formats[] = { "jsonl", "csv", "tsv", NULL };

static const struct opt opts[] = {
    { OPT_GROUP, .name = "the manifest" },
    { OPT_STRING, .name = "base", .value = &set.base, .arg = "DIR",
      .help = "media are relative to this (default: where the manifest is)" },
    { OPT_CHOICE, .name = "format", .value = &set.format, .arg = "FORMAT", .choices = formats,
      .help = "else by its name's ending or first byte" },
    { OPT_STRING, .name = "id-column", .value = &set.columns.id, .arg = "NAME",
      .help = "columns are guessed unless named here" },
    { OPT_STRING, .name = "audio-column", .value = &set.columns.audio, .arg = "NAME", .help = "sound files" },
    { OPT_STRING, .name = "image-column", .value = &set.columns.image, .arg = "NAME", .help = "picture files" },
    { OPT_STRING, .name = "text-column", .value = &set.columns.text, .arg = "NAME",
      .help = "what is said, or the text itself" },
    { OPT_STRING, .name = "prompt-column", .value = &set.columns.prompt, .arg = "NAME",
      .help = "with --response-column: two turns of a chat" },
    { OPT_STRING, .name = "response-column", .value = &set.columns.response, .arg = "NAME", .help = "" },
    { OPT_STRING, .name = "messages-column", .value = &set.columns.messages, .arg = "NAME", .help = "whole chats" },
    { OPT_STRING, .name = "language-column", .value = &set.columns.language, .arg = "NAME", .help = "" },
    { OPT_STRING, .name = "duration-column", .value = &set.columns.duration, .arg = "NAME", .help = "seconds" },
    { OPT_GROUP, .name = "the plan" },
    { OPT_INT, .name = "num-train-epochs", .value = &set.epochs, .arg = "N", .min = 1, .max = 1e9,
      .help = "times all rows are gone through" },
    { OPT_CHOICE, .name = "over-long", .value = &set.over_long, .arg = "WHAT", .choices = policies,
      .help = "rows of segments: cut between them" },
    { OPT_REAL, .name = "chunk-length", .value = &set.chunk, .arg = "SECONDS", .min = 0.1, .max = 1e6,
      .help = "of a piece at most" },
    { OPT_FLAG, .name = "shuffle", .value = &set.shuffle, .help = "another order each epoch" },
    { OPT_INT, .name = "seed", .value = &set.seed, .arg = "N", .min = 0, .max = 9e15, .help = "of the shuffle" },
    { OPT_INT, .name = "limit", .value = &set.limit, .arg = "N", .min = 0, .max = 9e15,
      .help = "only the first N rows (0: all)" },
    { OPT_INT, .name = "start", .value = &set.start, .arg = "SEQ", .min = 0, .max = 9e15,
      .help = "first unit put, to go on with a run" },
    { OPT_INT, .name = "unit", .value = &set.unit, .arg = "N", .min = 1, .max = 65536, .help = "samples a unit" },
    { OPT_INT, .name = "jobs", .value = &set.jobs, .arg = "N", .min = 1, .max = 1024,
      .help = "units read at the same time" },
    { OPT_GROUP, .name = "stores" },
    { OPT_FLAG, .name = "plan-only", .value = &set.plan_only, .help = "name the media, for workers that fetch them" },
    { OPT_FLAG, .name = "fetch", .value = &set.fetch, .help = "read a stream of --plan-only, fetch its media" },
    { OPT_FLAG, .name = "list", .value = &set.list,
      .help = "print the objects under MANIFEST, a prefix, as a manifest" },
    { OPT_STRING, .name = "cache", .value = &set.cache, .arg = "DIR", .help = "keep objects of gs:// there" },
    { OPT_SIZE, .name = "cache-size", .value = &set.cache_size, .arg = "SIZE", .help = "at most so much" },
    { OPT_FLAG, .name = "no-auth", .value = &set.no_auth, .help = "no credentials, for what is public" },
    { OPT_STRING, .name = "token-file", .value = &set.token_file, .arg = "FILE",
      .help = "a bearer token for gs://, read again when it is due" },
    { .name = NULL },
};

struct fetch {
    struct manifest manifest;
    struct row_source rows;
    struct plan plan;
};

/* --- samples ------------------------------------------------------------------------ */

static int sample_broken(struct fetch *f, struct unit *u, struct sample *s, uint64_t line, const char *why, struct error *e)
{
    char *place = arena_printf(&u->arena, "%s:%llu", f->manifest.name, (unsigned long long)line);
    if (!place || (!s && !(s = unit_add(u, place, strlen(place), e))))
        return error_memory(e);
    sample_fail(s, "gcs-fetch", why);
    return 0;
}

static int sample_add(struct fetch *f, struct unit *u, uint64_t i, size_t *room, struct error *e)
{
    const struct manifest *m = &f->manifest;
    struct error why = { 0 };
    uint64_t line = m->place[i].line;
    json_t *row = manifest_row(m, i, &why);
    char number[24];
    const char *id = NULL;
    size_t n = 0;
    int r = 0, has_id = row ? manifest_id(row, f->rows.columns.id, number, &id, &n) : 0;
    struct sample *s = NULL;
    if (has_id == 0 && row && (id = arena_printf(&u->arena, "%s:%llu", m->title, (unsigned long long)line)))
        n = strlen(id);
    if (has_id < 0)
        error_set(&why, STATUS_BAD, "its id is neither text nor a whole number");
    else if (row && (!id || !(s = unit_add(u, id, n, e))))
        error_memory(&why);
    else if (row && row_sample(&f->rows, row, s, *room, &why) == 0)
        why.status = 0;
    if (why.status == STATUS_AGAIN)
        r = error_set(e, STATUS_AGAIN, "'%s' line %llu: %s", m->name, (unsigned long long)line, why.text);
    else if (why.status)
        r = sample_broken(f, u, s, line, why.text, e);
    for (size_t j = 0; s && j < s->n; j++)
        *room -= s->field[j].value.size < *room ? s->field[j].value.size : *room;
    json_decref(row);
    return r;
}

static int unit_make(void *ctx, uint64_t q, struct unit *u, struct error *e)
{
    struct fetch *f = ctx;
    struct plan_slice slice = plan_slice(&f->plan, q);
    size_t room = UNIT_MAX - UNIT_SPARE;
    unit_begin(u, q, slice.epoch);
    for (uint64_t i = 0; i < slice.k; i++)
        if (sample_add(f, u, plan_item(&f->plan, slice.epoch, slice.first + i), &room, e) < 0)
            return -1;
    return 0;
}

/* --- columns: say early what is not there ------------------------------------------- */

static void columns_list(const json_t *row, char *text, size_t size)
{
    const char *key;
    json_t *value;
    size_t used = 0;
    *text = 0;
    json_object_foreach((json_t *)row, key, value)
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, "%s'%s'", used ? ", " : "", key);
}

static void columns_check(const struct fetch *f)
{
    const struct columns *c = &f->rows.columns;
    const char *named[] = { c->id, c->audio, c->image, c->text, c->prompt, c->response, c->messages, c->language,
                            c->duration };
    enum { NAMED = sizeof named / sizeof *named };
    bool seen[NAMED] = { false };
    char list[500] = "", used[500];
    int known = 0;
    for (uint64_t i = 0; i < f->manifest.rows && i < ROWS_LOOKED_AT; i++) {
        json_t *row = manifest_row(&f->manifest, i, NULL);
        if (!row)
            continue;
        if (!*list)
            columns_list(row, list, sizeof list);
        for (int j = 0; j < NAMED; j++)
            seen[j] |= named[j] && json_object_get(row, named[j]);
        if (!known && (known = row_columns(c, row, used, sizeof used)))
            debug("'%s': %s", f->manifest.name, used);
        json_decref(row);
    }
    if (!*list)
        return;                 /* nothing but broken rows: they will be counted */
    for (int j = 0; j < NAMED; j++)
        if (named[j] && !seen[j])
            die(STATUS_BAD, "'%s' has no column '%s'; it has %s", f->manifest.name, named[j], list);
    if (!known)
        warn("'%s': none of its columns is known as sound, picture or text: %s; --audio-column, --text-column ... name them",
             f->manifest.name, list);
}

/* --- the run ---------------------------------------------------------------------- */

/* What the order, the units and the samples depend on.  Not the number of epochs,
 * so that a run may be resumed with more of them. */
static void run_hash(const struct fetch *f, uint8_t run[16])
{
    static const char *const names[] = { "jsonl", "csv", "tsv" };
    const struct columns *c = &f->rows.columns;
    const char *columns[] = { c->id, c->audio, c->image, c->text, c->prompt, c->response, c->messages, c->language,
                              c->duration };
    struct buf b;
    uint8_t sum[32];
    buf_init(&b, 1 << 20);
    buf_printf(&b, "penstock plan %d\nformat %s\nrows %llu\nunit %llu\n", PLAN_VERSION, names[f->manifest.format],
               (unsigned long long)f->plan.items, (unsigned long long)f->plan.unit);
    if (f->plan.shuffle)
        buf_printf(&b, "seed %llu\n", (unsigned long long)f->plan.seed);
    if (f->manifest.split)
        buf_printf(&b, "split %.17g\n", f->manifest.split->most);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        buf_printf(&b, "column %zu %s\n", i, columns[i] ? columns[i] : "");
    buf_append(&b, f->manifest.hash, sizeof f->manifest.hash);
    if (b.failed || EVP_Digest(b.data, b.size, sum, NULL, EVP_sha256(), NULL) != 1)
        die(STATUS_AGAIN, "cannot hash the plan");
    memcpy(run, sum, 16);
    buf_release(&b);
}

static void stage_fill(const struct fetch *f, struct stage *st)
{
    char hash[65];
    for (int i = 0; i < 32; i++)
        snprintf(hash + 2 * i, 3, "%02x", f->manifest.hash[i]);
    stage_init(st, "gcs-fetch");
    stage_put_str(st, "manifest", f->manifest.name);
    stage_put_str(st, "sha256", hash);
    stage_put_int(st, "unit", (int64_t)f->plan.unit);
    stage_put_bool(st, "shuffle", f->plan.shuffle);
    if (f->plan.shuffle)
        stage_put_int(st, "seed", (int64_t)f->plan.seed);
    if (set.plan_only)
        stage_put_bool(st, "plan_only", true);
    if (set.limit)
        stage_put_int(st, "limit", set.limit);
    if (f->manifest.split) {
        stage_put_str(st, "over_long", set.over_long);
        stage_put_real(st, "chunk_length", set.chunk);
    }
}

/* As url_resolve takes it: the manifest itself, or a directory with its slash. */
static char *base_of(const char *manifest)
{
    char *base = NULL;
    size_t n = set.base ? strlen(set.base) : 0;
    if (set.base && asprintf(&base, "%s%s", set.base, n && set.base[n - 1] != '/' ? "/" : "") < 0)
        base = NULL;
    else if (!set.base)
        base = import_wanted(manifest) ? import_base(manifest) : strdup(strcmp(manifest, "-") ? manifest : "");
    if (!base)
        die(STATUS_AGAIN, "out of memory");
    return base;
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "gcs-fetch", .operands = "MANIFEST", .min_operands = 0, .max_operands = 1, .opts = opts,
        .summary = "turns a manifest (JSON lines, CSV, TSV; a path or URL, - is standard input) and what it names "
                   "into a stream of samples",
    };
    struct common common = { 0 };
    struct error e = { 0 };
    struct fetch f = { 0 };
    const char *name = argv[opt_parse(&program, &common, 0, argc, argv)];
    if (set.no_auth)
        store_anonymous();
    store_token_file(set.token_file);
    if (set.cache && media_cache(set.cache, set.cache_size, &e) < 0)
        die(e.status, "%s", e.text);
    if (set.fetch && name)
        die(STATUS_BAD, "--fetch reads a stream, no manifest: '%s' is one too many", name);
    if (set.fetch)
        return media_fetch(&common);
    if (!name)
        die(STATUS_BAD, "MANIFEST is missing; usage: gcs-fetch [options] MANIFEST");
    if (common.in)
        die(STATUS_BAD, "--in is for --fetch; the manifest is an operand: gcs-fetch '%s'", common.in);
    if (set.list)
        return list_print(name, common.out);
    const char *text[] = { set.columns.text, NULL };
    const struct split split = { set.chunk, set.columns.id ? set.columns.id : "id",
                                 set.columns.duration ? set.columns.duration : "duration",
                                 set.columns.text ? text : row_texts };
    if (manifest_open(&f.manifest, name, set.format, (uint64_t)set.limit, set.columns.id,
                      *set.over_long == 's' ? &split : NULL, &e) < 0)
        die(e.status, "%s", e.text);
    char *base = base_of(name);
    f.rows = (struct row_source){ &f.manifest, base, set.plan_only, set.columns };
    f.plan = (struct plan){ .items = f.manifest.rows, .epochs = (uint64_t)set.epochs, .unit = (uint64_t)set.unit,
                            .shuffle = set.shuffle, .seed = (uint64_t)set.seed };
    if (plan_check(&f.plan, &e) < 0)
        die(e.status, "%s", e.text);
    if ((uint64_t)set.start > plan_units(&f.plan))
        die(STATUS_BAD, "--start %lld is behind the end: the run has %llu units", (long long)set.start,
            (unsigned long long)plan_units(&f.plan));
    columns_check(&f);

    uint8_t run[16];
    struct stage stage;
    struct header header;
    run_hash(&f, run);
    stage_fill(&f, &stage);
    if (header_make(&header, run, f.plan.items, f.plan.epochs, &stage, &e) < 0)
        die(e.status, "%s", e.text);
    struct source source = { .ctx = &f, .header = &header, .units = plan_units(&f.plan), .unit = unit_make };
    int status = source_run(&source, &common, (uint64_t)set.start, set.jobs);
    header_release(&header);
    stage_release(&stage);
    manifest_close(&f.manifest);
    free(base);
    return status;
}
