/* tests/unit/sound_write.c - see sound_write.h */
#include "tests/unit/sound_write.h"

#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct growing {
    uint8_t *data;
    sf_count_t size, at, room;
};

static sf_count_t size_of(void *user) { return ((struct growing *)user)->size; }
static sf_count_t tell(void *user) { return ((struct growing *)user)->at; }

static sf_count_t seek(sf_count_t offset, int whence, void *user)
{
    struct growing *g = user;
    return g->at = offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? g->at : g->size);
}

static sf_count_t read_back(void *to, sf_count_t n, void *user)
{
    struct growing *g = user;
    n = g->at >= g->size ? 0 : n < g->size - g->at ? n : g->size - g->at;
    memcpy(to, g->data + g->at, (size_t)n);
    g->at += n;
    return n;
}

static sf_count_t append(const void *from, sf_count_t n, void *user)
{
    struct growing *g = user;
    if (g->at + n > g->room) {
        g->room = 2 * (g->at + n) + 65536;
        g->data = realloc(g->data, (size_t)g->room);
    }
    memcpy(g->data + g->at, from, (size_t)n);
    g->at += n;
    if (g->at > g->size)
        g->size = g->at;
    return n;
}

size_t sound_write(int format, int rate, int channels, const double *x, size_t frames, uint8_t **file)
{
    SF_VIRTUAL_IO io = {size_of, seek, read_back, append, tell};
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    struct growing g = {0};
    *file = NULL;
    SNDFILE *f = sf_format_check(&info) ? sf_open_virtual(&io, SFM_WRITE, &info, &g) : NULL;
    if (!f) {
        free(g.data);
        return 0;
    }
    sf_count_t wrote = 0;
    while (wrote < (sf_count_t)frames) {
        sf_count_t n = (sf_count_t)frames - wrote < 1024 ? (sf_count_t)frames - wrote : 1024;
        sf_count_t now = sf_writef_double(f, x + wrote * channels, n);
        if (now <= 0)
            break;
        wrote += now;
    }
    sf_close(f);
    *file = g.data;
    return (size_t)g.size;
}

uint8_t *sound_load(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    uint8_t *data = malloc((size_t)n + 64);
    *size = fread(data, 1, (size_t)n, f);
    fclose(f);
    return data;
}
