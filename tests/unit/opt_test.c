/* tests/unit/opt_test.c - options as a user types them
 *
 * opt_parse exits on --help and on misuse, so each case runs in a child whose
 * output and status are kept. */
#include "libcommon/cli/opt.h"
#include "tap.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool flag, given;
static const char *model, *kind;
static int64_t steps;
static double rate;
static uint64_t size;
static const char *const kinds[] = { "linear", "cosine", "constant", NULL };

static const struct opt table[] = {
    { OPT_GROUP, .name = "training" },
    { OPT_STRING, .letter = 'm', .name = "model", .value = &model, .arg = "DIR", .help = "the model's directory" },
    { OPT_INT, .name = "max-steps", .value = &steps, .arg = "N", .min = 1, .max = 256, .given = &given,
      .help = "stop after so many" },
    { OPT_REAL, .name = "learning-rate", .value = &rate, .arg = "X", .min = 0, .max = 1, .help = "peak rate" },
    { OPT_SIZE, .name = "buffer", .value = &size, .help = "memory to use" },
    { OPT_CHOICE, .name = "lr-scheduler-type", .value = &kind, .choices = kinds, .help = "shape" },
    { OPT_FLAG, .letter = 'k', .name = "keep", .value = &flag, .help = "keep all" },
    { .name = NULL },
};
static const struct program prog = { "prog", "FILE...", 0, 2, "reads nothing, writes nothing", table };

static char text[1 << 16];
static int status;

/* Runs opt_parse on the words in a child; what the child prints of the result, or of its error, lands in `text`. */
static void parse(const struct program *p, char **words)
{
    int fds[2];
    if (pipe(fds) < 0)
        exit(2);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        close(fds[0]);
        close(fds[1]);
        model = NULL, kind = "cosine", steps = 8, rate = 5e-5, size = 8 << 20;
        struct common c = { 0 };
        char *argv[80] = { (char *)(uintptr_t)p->name };
        int argc = 1;
        while (*words)
            argv[argc++] = *words++;
        int first = opt_parse(p, &c, 0, argc, argv);
        printf("model=%s steps=%lld rate=%g size=%llu kind=%s keep=%d given=%d in=%s threads=%lld quiet=%d ops=",
               model ? model : "-",
               (long long)steps, rate, (unsigned long long)size, kind, flag, given, c.in ? c.in : "-",
                   (long long)c.threads, c.quiet);
        for (int i = first; i < argc; i++)
            printf("%s,", argv[i]);
        fflush(stdout);
        _exit(0);
    }
    close(fds[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(fds[0], text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = 0;
    close(fds[0]);
    waitpid(child, &status, 0);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define PARSE(...) parse(&prog, (char *[]){ __VA_ARGS__, NULL })

static void misuse_is(int line_status, const char *want, const char *name)
{
    is_str(text, want, name);
    is_int(status, line_status, "  and its status");
}

static void fits(const struct program *p, const char *name)
{
    parse(p, (char *[]){ "--help", NULL });
    size_t lines = 0, widest = 0;
    for (char *s = text; *s; lines++) {
        size_t n = strcspn(s, "\n");
        widest = n > widest ? n : widest;
        s += n + (s[n] != 0);
    }
    if (!ok(lines <= 24 && widest <= 80, "%s (%zu lines of at most %zu columns)", name, lines, widest))
        printf("# %s\n", text);
    is_int(status, 0, "  and help is no failure");
}

static void many_options(void)
{
    static const char *const names[] = { "max-steps", "batch-size", "gradient-accumulation-steps", "learning-rate",
                                         "lr-scheduler-type",
        "warmup-steps", "weight-decay", "adam-beta1", "adam-beta2", "adam-epsilon", "max-grad-norm", "seed", NULL,
            "dtype", "lora-r",
        "lora-alpha", "lora-dropout", "lora-target-modules", "freeze", "save-steps", "logging-steps", "eval-steps",
            NULL, "eval-stream",
        "resume", "label-smoothing-factor", "mask-time-prob", "mask-time-length", "mask-time-min-masks", "mask-feature-prob",
        "mask-feature-length", "mask-feature-min-masks", "max-errors", "numa-node", "head", "insecure", "keys", NULL,
            "save-total-limit",
        "save-dtype", "memory-limit", "num-train-epochs", "model", "plan", "key-file", "allow", "dropout",
            "attention-dropout" };
    enum { MANY = sizeof names / sizeof *names };
    static struct opt many[MANY + 1];
    for (size_t i = 0; i < MANY; i++)
        many[i] = names[i] ? (struct opt){ .kind = OPT_REAL, .name = names[i], .value = &rate, .arg = "N",
                                           .help = "something" }
                           : (struct opt){ .kind = OPT_GROUP, .name = "heading" };
    struct program p = prog;
    p.opts = many;
    fits(&p, "the help of a program with 45 options fits a screen");
    ok(strstr(text, "--attention-dropout [5e-05]") != NULL, "and names them all, with defaults");
}

int main(void)
{
    PARSE("--model", "m", "--max-steps=256", "--learning-rate", "1e-3", "--buffer", "64K", "--lr-scheduler-type=linear",
          "-kq", "-i", "x");
    is_str(text, "model=m steps=256 rate=0.001 size=65536 kind=linear keep=1 given=1 in=x threads=1 quiet=1 ops=",
           "long, short and joined options are read");
    PARSE("-mdir", "a", "--threads", "3", "b");
    is_str(text, "model=dir steps=8 rate=5e-05 size=8388608 kind=cosine keep=0 given=0 in=- threads=3 quiet=0 ops=a,b,",
           "operands may stand between options; defaults stay");
    PARSE("--", "--model", "-");
    ok(strstr(text, "ops=--model,-,") != NULL, "-- ends the options, - is an operand");
    PARSE("--model=--odd", "--learning-rate", "0");
    ok(strstr(text, "model=--odd") && strstr(text, "rate=0 "), "--name=value takes any value");

    PARSE("--max-steps", "zero");
    misuse_is(100, "prog: option --max-steps wants a whole number from 1 to 256, not 'zero'\n",
              "a bad number is named with its range");
    PARSE("--max-steps", "257");
    misuse_is(100, "prog: option --max-steps wants a whole number from 1 to 256, not '257'\n", "the range is checked");
    PARSE("--learning-rate", "nan");
    misuse_is(100, "prog: option --learning-rate wants a number from 0 to 1, not 'nan'\n", "nan is no number");
    PARSE("--buffer", "-1");
    misuse_is(100, "prog: option --buffer wants a size (as 512, 64K or 8M), not '-1'\n", "a size is not negative");
    PARSE("--buffer", "99999999999T");
    misuse_is(100, "prog: option --buffer wants a size (as 512, 64K or 8M), not '99999999999T'\n",
              "a size does not overflow");
    PARSE("--lr-scheduler-type", "cosinus");
    misuse_is(100, "prog: option --lr-scheduler-type wants one of linear|cosine|constant, not 'cosinus'\n",
              "a choice lists the choices");
    PARSE("--learnin-rate", "1");
    misuse_is(100, "prog: unknown option '--learnin-rate'; the nearest is '--learning-rate'\n",
              "a misspelt option is told the nearest");
    PARSE("--max_steps=3");
    misuse_is(100, "prog: unknown option '--max_steps'; the nearest is '--max-steps'\n",
              "also with underscores and a value");
    PARSE("--per_device_learning_rate", "3");
    misuse_is(100, "prog: unknown option '--per_device_learning_rate'; the nearest is '--learning-rate'\n",
              "and where it is a part of the word");
    PARSE("--zebra");
    misuse_is(100,
              "prog: unknown option '--zebra'; the nearest is '--keep', which is far: prog --help lists what there is\n",
              "even if none is near");
    PARSE("--thread", "3");
    misuse_is(100, "prog: unknown option '--thread'; the nearest is '--threads'\n", "also of the common options");
    PARSE("-Z");
    is_int(status, 100, "an unknown letter is misuse");
    PARSE("--model");
    misuse_is(100, "prog: option --model wants a value: --model DIR\n", "a missing value is named");
    PARSE("--model", "--keep");
    ok(status == 100 && strstr(text, "looks like an option"), "an option is not taken for a value");
    PARSE("--keep=yes");
    misuse_is(100, "prog: option --keep takes no value\n", "a flag takes no value");
    PARSE("a", "b", "c");
    ok(status == 100 && strstr(text, "unexpected operand 'c'"), "too many operands are misuse");
    PARSE("--version");
    misuse_is(0, "prog " PENSTOCK_VERSION "\n", "--version prints name and version");

    fits(&prog, "the help of a small program fits a screen");
    ok(strstr(text, "--lr-scheduler-type linear|cosine|constant") && strstr(text, "[5e-05]") && strstr(text, "[8M]"),
       "and shows choices and the defaults in force");
    many_options();

    size_t n;
    char **list = opt_list("q_proj,,v_proj,", &n);
    ok(list && n == 2 && !strcmp(list[0], "q_proj") && !strcmp(list[1], "v_proj") && !list[2], "a list is split at commas");
    free(list);
    return done();
}
