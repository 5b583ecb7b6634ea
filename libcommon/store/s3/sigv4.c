/* libcommon/store/s3/sigv4.c - see sigv4.h */
#include "libcommon/store/s3/sigv4.h"
#include "libcommon/store/checksum.h"
#include "libcommon/sys/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hex(const unsigned char *bytes, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

void sigv4_date(time_t now, char text[17])
{
    struct tm t;
    gmtime_r(&now, &t);
    strftime(text, 17, "%Y%m%dT%H%M%SZ", &t);
}

static void hmac(const void *key, size_t n, const char *text, unsigned char sum[32])
{
    unsigned int size = 32;
    HMAC(EVP_sha256(), key, (int)n, (const unsigned char *)text, strlen(text), sum, &size);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* name=value pairs in the order of their bytes; a name alone gets its '='. */
static int query_sorted(const char *query, struct buf *b)
{
    char *copy = strdup(query), *save = NULL;
    char *pair[64];
    size_t n = 0;
    if (!copy)
        return -1;
    for (char *p = strtok_r(copy, "&", &save); p && n < 64; p = strtok_r(NULL, "&", &save))
        pair[n++] = p;
    qsort(pair, n, sizeof *pair, by_text);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%s%s", i ? "&" : "", pair[i], strchr(pair[i], '=') ? "" : "=");
    free(copy);
    return 0;
}

static void names_put(const struct sigv4_request *r, struct buf *b)
{
    for (size_t i = 0; i < r->n_headers; i++)
        buf_printf(b, "%s%s", i ? ";" : "", r->header[i][0]);
}

char *sigv4_authorization(const struct sigv4_request *r, const struct sigv4_keys *k, time_t now, struct buf *canonical)
{
    struct buf b, names;
    char date[17], hash[65], signature[65], *text = NULL, *secret = NULL, *out = NULL;
    unsigned char key[32];
    buf_init(&b, 1 << 20);
    buf_init(&names, 1 << 16);
    sigv4_date(now, date);
    buf_printf(&b, "%s\n%s\n", r->method, r->path);
    int bad = query_sorted(r->query, &b);
    buf_append(&b, "\n", 1);
    for (size_t i = 0; i < r->n_headers; i++)
        buf_printf(&b, "%s:%s\n", r->header[i][0], r->header[i][1]);
    names_put(r, &names);
    buf_append(&names, "", 1);
    buf_append(&b, "\n", 1);
    names_put(r, &b);
    buf_printf(&b, "\n%s", r->payload_hash);
    if (bad || b.failed || names.failed)
        goto end;
    if (canonical)
        buf_append(canonical, b.data, b.size);
    sha256_hex(b.data, b.size, hash);
    if (asprintf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", date, date, k->region, k->service, hash) < 0) {
        text = NULL;
        goto end;
    }
    if (asprintf(&secret, "AWS4%s", k->secret) < 0) {
        secret = NULL;
        goto end;
    }
    char day[9];
    snprintf(day, sizeof day, "%.8s", date);
    hmac(secret, strlen(secret), day, key);
    hmac(key, 32, k->region, key);
    hmac(key, 32, k->service, key);
    hmac(key, 32, "aws4_request", key);
    hmac(key, 32, text, key);
    hex(key, 32, signature);
    if (asprintf(&out, "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s", k->id,
                 day, k->region, k->service, (char *)names.data, signature) < 0)
        out = NULL;
end:
    secret_free(secret);
    free(text);
    buf_release(&b);
    buf_release(&names);
    return out;
}
