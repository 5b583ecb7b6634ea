/* tests/bench/step_bench.c - whole training steps of true shapes with random weights, without files or streams
 *
 * step_bench MODEL ROWS TOKENS [float32|bfloat16 [threads [steps [lora-r [again]]]]]
 * One JSON object: seconds of the fastest and the median step, and what they hold.
 * again 1: layers are computed twice (--gradient-checkpointing), which the share does not count.
 * roof: GFLOP/s of a bfloat16 product of 2048 cubed, the best between the steps;
 * share: of it, counting 6 operations a parameter and token, and attention (useful
 * work only).  The same once more in processor time, for a machine that is busy. */
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/linalg/pages.h"
#include "kernels/models/model.h"
#include "kernels/nn/optim/optim.h"
#include "kernels/nn/param/lora.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "step_bench: %s\n", what);
    exit(100);
}

static int whisper_config(char *to, size_t size, int d, int layers, int heads)
{
    return snprintf(to, size,
        "{\"model_type\": \"whisper\", \"d_model\": %d, \"encoder_layers\": %d, \"decoder_layers\": %d, "
        "\"encoder_attention_heads\": %d, \"decoder_attention_heads\": %d, \"encoder_ffn_dim\": %d, "
        "\"decoder_ffn_dim\": %d, \"num_mel_bins\": 80, \"max_source_positions\": 1500, "
        "\"max_target_positions\": 448, \"vocab_size\": 51865, \"pad_token_id\": 50257, "
        "\"bos_token_id\": 50257, \"eos_token_id\": 50257, \"decoder_start_token_id\": 50258, "
        "\"activation_function\": \"gelu\", \"dropout\": 0.0, \"attention_dropout\": 0.0, "
        "\"activation_dropout\": 0.0, \"init_std\": 0.02, \"scale_embedding\": false, "
        "\"tie_word_embeddings\": true}", d, layers, layers, heads, heads, 4 * d, 4 * d);
}

static int gemma_config(char *to, size_t size, int hidden, int inner, int layers, int heads)
{
    int n = snprintf(to, size,
        "{\"model_type\": \"gemma3_text\", \"hidden_size\": %d, \"intermediate_size\": %d, "
        "\"num_hidden_layers\": %d, \"num_attention_heads\": %d, \"num_key_value_heads\": 1, "
        "\"head_dim\": 256, \"vocab_size\": 262144, \"max_position_embeddings\": 32768, "
        "\"query_pre_attn_scalar\": 256, \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, "
        "\"rope_local_base_freq\": 10000.0, \"sliding_window\": 512, \"hidden_activation\": "
        "\"gelu_pytorch_tanh\", \"attention_bias\": false, \"attention_dropout\": 0.0, "
        "\"initializer_range\": 0.02, \"pad_token_id\": 0, \"bos_token_id\": 2, \"eos_token_id\": 1, "
        "\"layer_types\": [", hidden, inner, layers, heads);
    for (int i = 0; i < layers; i++)
        n += snprintf(to + n, size - (size_t)n, "%s\"%s_attention\"", i ? ", " : "", i % 6 == 5 ? "full" : "sliding");
    return n + snprintf(to + n, size - (size_t)n, "]}");
}

/* Operations of a full step: 6 a parameter and token, 12 an attended pair and feature. */
static double work_whisper(double d, double layers, double rows, double tokens)
{
    double heard = 1500 * rows, all = rows * tokens, clip = 3 * 80 * d * 3000 * 2 / 3 + 3 * d * d * 1500;
    return 6 * (layers * (12 * d * d * heard + 14 * d * d * all + 2 * d * d * heard) + 51865 * d * all + clip * rows) +
           12 * d * layers * rows * (1500 * 1500 + tokens * tokens / 2 + tokens * 1500);
}

static double work_gemma(double hidden, double inner, double layers, double heads, const struct batch *b)
{
    double tokens = (double)b->start[b->rows], wide = heads * 256, supervised = 0, pairs = 0;
    for (size_t i = 0; i < b->start[b->rows]; i++)
        supervised += b->labels[i] >= 0;
    for (size_t r = 0; r < b->rows; r++)
        pairs += (double)(b->start[r + 1] - b->start[r]) * (double)(b->start[r + 1] - b->start[r]) / 2;
    double layer = 2 * hidden * wide + 2 * hidden * 256 + 3 * hidden * inner;
    return 6 * (layers * layer * tokens + 262144 * hidden * supervised) + 12 * layers * wide * pairs;
}

static double work_of(const char *name, const struct batch *b)
{
    double rows = (double)b->rows, tokens = (double)b->start[b->rows] / rows;
    if (!strcmp(name, "whisper-tiny"))
        return work_whisper(384, 4, rows, tokens);
    if (!strcmp(name, "whisper-base"))
        return work_whisper(512, 6, rows, tokens);
    if (!strcmp(name, "whisper-small"))
        return work_whisper(768, 12, rows, tokens);
    return strcmp(name, "gemma-270m") ? work_gemma(1152, 6912, 26, 4, b) : work_gemma(640, 2048, 18, 4, b);
}

enum { CUBE = 2048 };

struct roof { double best, busy; };     /* GFLOP/s by the clock, and by processor time of one thread */

/* step_bench roof THREADS: the measurement, in a process of its own. */
static void roof_main(int threads)
{
    struct compute k = {.team = team_new(threads, NULL), .k = kernels_choose(getenv("PENSTOCK_KERNELS")), .bf16 = true};
    struct packed *w = packed_new(CUBE, CUBE);
    uint16_t *x = pages_new(CUBE * CUBE * sizeof *x);
    float *y = pages_new(CUBE * CUBE * sizeof *y);
    struct roof r = {0};
    if (!k.team || !k.k || !w || !x || !y)
        die("no memory");
    for (size_t i = 0; i < CUBE * CUBE; i++)
        y[i] = (float)(i % 7) - 3, x[i] = (uint16_t)(0x3f80 + i % 5);
    packed_set(&k, w, y, CUBE);
    for (int i = 0; i < 4; i++) {
        double t = now(), c = cpu(), flops = 2e-9 * CUBE * CUBE * CUBE;
        gemm_bf16(&k, CUBE, (struct gemm_in){.bf16 = x, .ld = CUBE}, w, false, &(struct gemm_out){.f32 = y, .ld = CUBE});
        t = flops / (now() - t);
        c = flops / (cpu() - c);
        r.best = t > r.best ? t : r.best;
        r.busy = c > r.busy ? c : r.busy;
    }
    printf("%.17g %.17g\n", r.best, r.busy);
}

/* There, so that its memory is no part of a step's peak. */
static void roof_measure(const char *program, int threads, struct roof *r)
{
    char command[4096];
    double best = 0, busy = 0;
    snprintf(command, sizeof command, "'%s' roof %d", program, threads);
    FILE *f = popen(command, "r");
    if (!f || fscanf(f, "%lf %lf", &best, &busy) != 2)
        die("the roof cannot be measured");
    pclose(f);
    r->best = best > r->best ? best : r->best;
    r->busy = busy > r->busy ? busy : r->busy;
}

static int config_of(const char *name, char *to, size_t size)
{
    if (!strcmp(name, "whisper-tiny"))
        return whisper_config(to, size, 384, 4, 6);
    if (!strcmp(name, "whisper-base"))
        return whisper_config(to, size, 512, 6, 8);
    if (!strcmp(name, "whisper-small"))
        return whisper_config(to, size, 768, 12, 12);
    if (!strcmp(name, "gemma-270m"))
        return gemma_config(to, size, 640, 2048, 18, 4);
    if (!strcmp(name, "gemma-1b"))
        return gemma_config(to, size, 1152, 6912, 26, 4);
    die("models: whisper-tiny whisper-base whisper-small gemma-270m gemma-1b");
    return 0;
}

static void batch_fill(struct batch *b, const struct model *m, size_t rows, size_t tokens, char why[WHY])
{
    if (batch_reserve(b, rows, rows * tokens * 2, m->bins, m->frames, why))
        die(why);
    int32_t *ids = malloc(2 * tokens * sizeof *ids), *labels = malloc(2 * tokens * sizeof *labels);
    float *features = malloc((m->bins * m->frames + 1) * sizeof *features);
    for (size_t r = 0; r < rows; r++) {
        /* Ragged where the model packs: tokens on average. */
        size_t n = m->bins ? tokens : tokens / 2 + (rows > 1 ? r * tokens / (rows - 1) : tokens / 2);
        for (size_t i = 0; i < n; i++) {
            ids[i] = (int32_t)((r * 7919 + i * 104729) % 50000);
            labels[i] = m->bins || i >= n / 3 ? (int32_t)((r * 31337 + i * 7877) % 50000) : -100;
        }
        for (size_t i = 0; i < m->bins * m->frames; i++)
            features[i] = (float)((i * 7919 + r) % 2003) / 2003.0f - 0.4f;
        if (batch_add(b, ids, labels, n, m->bins ? features : NULL, m->bins, m->frames, -1, r + 1, why))
            die(why);
    }
    free(ids), free(labels), free(features);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Random weights, and with lora-r > 0 adapters. */
static struct model *model_make(const char *name, const struct compute *k, size_t lora)
{
    static char config[16384], why[WHY];
    struct model *m = model_new(config, (size_t)config_of(name, config, sizeof config), why);
    if (!m || params_reserve(&m->params, false, why))
        die(why);
    for (size_t i = 0; i < m->params.n; i++)
        param_init(m->params.p[i], 1);
    struct lora_options o = {.r = lora, .alpha = 16, .targets = "q_proj,v_proj"};
    if (lora && lora_attach(&m->params, &o, why) < 0)
        die(why);
    m->params.lent = m->bins || team_size(k->team) == 1;        /* as train-step has it */
    if (params_reserve(&m->params, true, why))
        die(why);
    for (size_t i = 0; lora && i < m->params.n; i++)
        if (m->params.p[i]->kind == PARAM_ADAPTER)
            param_init(m->params.p[i], 1);
    return m;
}

enum { STEPS = 64 };

struct timed {
    double second[STEPS], busy; /* of each step; processor time of the cheapest */
    int n;
    struct loss loss;           /* of the last */
    struct roof roof;
};

/* The roof, a step that does not count, two that do: the optimizer of one may pass behind the next one's forward (and
 * the first optimizer step's memory is new, so that the second step does not count either). */
static void steps_time(const char *program, struct tape *t, struct model *m, struct batch *b, int steps, struct timed *r)
{
    struct adamw a = {.learning_rate = 1e-5, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .max_grad_norm = 1};
    char why[WHY];
    for (int i = 0; r->n < steps; i++) {
        if (i % 3 == 0) {
            adamw_end(t->compute, &m->params);
            roof_measure(program, team_size(t->compute->team), &r->roof);
        }
        double from = now(), c = cpu();
        if (model_step(t, m, b, TAPE_TRAIN, (uint64_t)i + 1, &r->loss, why))
            die(why);
        adamw_begin(t->compute, &m->params, &a, (double)r->loss.tokens);
        if (i % 3 && i > 1) {
            c = cpu() - c;
            r->busy = r->n == 0 || c < r->busy ? c : r->busy;
            r->second[r->n++] = now() - from;
        }
    }
    qsort(r->second, (size_t)r->n, sizeof *r->second, by_size);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "roof")) {
        roof_main(atoi(argv[2]));
        return 0;
    }
    if (argc < 4)
        die("step_bench MODEL ROWS TOKENS [float32|bfloat16 [threads [steps [lora-r [again]]]]]");
    char why[WHY];
    size_t rows = strtoul(argv[2], NULL, 10), tokens = strtoul(argv[3], NULL, 10);
    bool bf16 = argc > 4 && !strcmp(argv[4], "bfloat16");
    int threads = argc > 5 ? atoi(argv[5]) : 2, steps = argc > 6 ? atoi(argv[6]) : 4;
    struct compute k = {.team = team_new(threads, NULL), .k = kernels_choose(getenv("PENSTOCK_KERNELS")), .bf16 = bf16};
    if (!k.team || !k.k)
        die("no team, or no such kernels");
    double start = now();
    struct model *m = model_make(argv[1], &k, argc > 7 ? strtoul(argv[7], NULL, 10) : 0);
    struct batch b;
    batch_fill(&b, m, rows, tokens, why);
    struct tape *t = tape_new(&k);
    t->recompute = argc > 8 && atoi(argv[8]);
    double setup = now() - start, flops = work_of(argv[1], &b) * 1e-9;
    struct timed r = {0};
    steps_time(argv[0], t, m, &b, steps > STEPS ? STEPS : steps < 2 ? 2 : steps, &r);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("{\"model\": \"%s\", \"rows\": %zu, \"tokens\": %zu, \"dtype\": \"%s\", \"kernels\": \"%s\", \"threads\": %d, ",
           argv[1], rows, b.start[b.rows], bf16 ? "bfloat16" : "float32", kernels_name(k.k), threads);
    printf("\"best\": %.4f, \"median\": %.4f, \"cpu\": %.4f, \"setup\": %.2f, \"loss\": %.4f, ",
           r.second[0], r.second[r.n / 2], r.busy, setup, r.loss.sum / (double)r.loss.tokens);
    printf("\"peak_gb\": %.2f, \"arena_gb\": %.3f, \"used_gb\": %.3f, ",
           (double)u.ru_maxrss / 1048576, (double)t->layout->size / (1 << 30), (double)t->high / (1 << 30));
    printf("\"roof\": %.1f, \"share\": %.3f, \"roof_cpu\": %.1f, \"share_cpu\": %.3f}\n",
           r.roof.best, flops / r.second[0] / r.roof.best, r.roof.busy, flops / r.busy / r.roof.busy);
    return 0;
}
