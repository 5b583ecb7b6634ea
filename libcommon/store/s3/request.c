/* libcommon/store/s3/request.c - names, addresses and signed requests of s3://; see s3.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "libcommon/store/base64.h"
#include "libcommon/store/checksum.h"
#include "libcommon/store/http/retry.h"
#include "libcommon/store/s3/s3.h"
#include "libcommon/store/s3/sigv4.h"

/* Host names hold no dots of a bucket's, or its certificate would not fit. */
static int place(struct s3_name *n, const char *bucket, const char *region)
{
    const char *endpoint = getenv("AWS_ENDPOINT_URL_S3");
    if (!endpoint || !*endpoint)
        endpoint = getenv("AWS_ENDPOINT_URL");
    char *scheme_and_host = NULL, *path = NULL;
    bool path_style = (endpoint && *endpoint) || strchr(bucket, '.');
    int r = endpoint && *endpoint ? asprintf(&scheme_and_host, "%s%s", strstr(endpoint, "://") ? "" : "http://", endpoint)
            : path_style          ? asprintf(&scheme_and_host, "https://s3.%s.amazonaws.com", region)
                                  : asprintf(&scheme_and_host, "https://%s.s3.%s.amazonaws.com", bucket, region);
    if (r < 0)
        return -1;
    size_t length = strlen(scheme_and_host);
    if (length && scheme_and_host[length - 1] == '/')
        scheme_and_host[length - 1] = 0;
    char *host = strstr(scheme_and_host, "://") + 3, *below = strchr(host, '/');     /* an endpoint may have a path */
    if (asprintf(&path, "%s%s%s/%s", below ? below : "", path_style ? "/" : "", path_style ? bucket : "", n->path) < 0)
        path = NULL;
    if (below)
        *below = 0;
    free(n->path);
    n->path = path;
    n->host = strdup(host);
    r = path && n->host ? asprintf(&n->url, "%s%s", scheme_and_host, path) : -1;
    if (r < 0)
        n->url = NULL;
    free(scheme_and_host);
    return r < 0 ? -1 : 0;
}

static int name_read(const char *url, struct s3_name *n, bool key_needed, bool with_key, struct error *e)
{
    *n = (struct s3_name){ 0 };
    const struct s3_keys *keys;
    const char *bucket = strstr(url, "://") + 3, *slash = strchr(bucket, '/'), *key = slash ? slash + 1 : "";
    size_t length = slash ? (size_t)(slash - bucket) : strlen(bucket);
    if (length == 0 || (key_needed && !*key))
        return error_set(e, STATUS_BAD, "'%s' names no %s; s3://BUCKET/NAME is meant", url, length ? "object" : "bucket");
    if (s3_keys_get(&keys, e) < 0)
        return -1;
    char *name = strndup(bucket, length), *escaped = name ? url_escape(name, "") : NULL;
    n->path = url_escape(with_key ? key : "", "/");
    n->key = url_escape(key, "");
    int bad = !escaped || !n->path || !n->key || place(n, escaped, keys->region) < 0;
    free(name);
    free(escaped);
    if (!bad)
        return 0;
    s3_name_release(n);
    return error_memory(e);
}

int s3_name_read(const char *url, struct s3_name *n, bool key_needed, struct error *e)
{
    return name_read(url, n, key_needed, true, e);
}

int s3_bucket_read(const char *url, struct s3_name *n, struct error *e)
{
    return name_read(url, n, false, false, e);
}

void s3_name_release(struct s3_name *n)
{
    free(n->url);
    free(n->host);
    free(n->path);
    free(n->key);
    *n = (struct s3_name){ 0 };
}

/* --- requests ------------------------------------------------------------------------ */

enum { SIGNED_MAX = 16 };
struct signing { const char *header[SIGNED_MAX][2]; char name[SIGNED_MAX][40]; size_t n; };

/* In the order of their names. */
static void signing_add(struct signing *s, const char *name, const char *value)
{
    size_t at = s->n++;
    for (; at && strcmp(s->header[at - 1][0], name) > 0; at--) {
        s->header[at][0] = s->header[at - 1][0];
        s->header[at][1] = s->header[at - 1][1];
    }
    s->header[at][0] = name;
    s->header[at][1] = value;
}

/* Adds date, hash and signature, which covers all headers of the ask. */
static int sign(struct http_request *r, const struct s3_ask *ask, const char *range, struct error *e)
{
    const struct s3_keys *k;
    struct signing s = { .n = 0 };
    char date[17], hash[65] = "UNSIGNED-PAYLOAD";
    time_t now = time(NULL);
    if (s3_keys_get(&k, e) < 0)
        return -1;
    if (!k->id)
        return 0;
    if (r->has_body)
        sha256_hex(r->body.data, r->body.size, hash);
    sigv4_date(now, date);
    signing_add(&s, "host", ask->name->host);
    signing_add(&s, "x-amz-content-sha256", hash);
    signing_add(&s, "x-amz-date", date);
    if (*range)
        signing_add(&s, "range", range);
    if (k->token)
        signing_add(&s, "x-amz-security-token", k->token);
    for (size_t i = 0; i < 4 && ask->header[i]; i++) {
        const char *colon = strchr(ask->header[i], ':');
        snprintf(s.name[i], sizeof s.name[i], "%.*s", (int)(colon - ask->header[i]), ask->header[i]);
        signing_add(&s, s.name[i], colon + 2);
    }
    struct sigv4_request q = { r->method, ask->name->path, ask->query ? ask->query : "",
                               (const char *const(*)[2])s.header, s.n, hash };
    struct sigv4_keys keys = { k->id, k->secret, k->region, "s3" };
    char *authorization = sigv4_authorization(&q, &keys, now, NULL);
    int bad = !authorization || http_header(r, "x-amz-content-sha256: %s", hash) < 0 ||
              http_header(r, "x-amz-date: %s", date) < 0 ||
              (k->token && http_header(r, "x-amz-security-token: %s", k->token) < 0) ||
                  http_header(r, "Authorization: %s", authorization) < 0;
    free(authorization);
    return bad ? error_memory(e) : 0;
}

int s3_request(struct http_request *r, const struct s3_ask *ask, struct error *e)
{
    char *url, range[64] = "";
    bool query = ask->query && *ask->query;
    if (asprintf(&url, "%s%s%s", ask->name->url, query ? "?" : "", query ? ask->query : "") < 0)
        return error_memory(e);
    int bad = http_init(r, ask->method, url, e);
    free(url);
    if (bad)
        return -1;
    if (ask->n) {
        snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)ask->offset,
                 (unsigned long long)(ask->offset + ask->n - 1));
        http_header(r, "Range: %s", range);
    }
    for (size_t i = 0; i < 4 && ask->header[i]; i++)
        http_header(r, "%s", ask->header[i]);
    if (ask->body) {
        http_header(r, "Content-Type:");
        r->has_body = true;
        r->body = *ask->body;
    }
    if (sign(r, ask, range, e) == 0)
        return 0;
    http_release(r);
    return -1;
}

int s3_call(const char *subject, const struct s3_ask *ask, struct http_request *r, struct buf *answer, struct error *e)
{
    struct retry t;
    retry_begin(&t, subject);
    for (;;) {
        buf_clear(answer);
        if (s3_request(r, ask, e) < 0)
            return -1;
        r->into = answer;
        http_perform((struct http_request *const[]){ r }, 1);
        if (r->code == CURLE_OK && !http_passing(r))
            return 0;
        int bad = retry_after(&t, r, 0, e);
        http_release(r);
        if (bad)
            return -1;
    }
}

void s3_sum_header(uint32_t crc, char text[S3_SUM_HEADER], const char **header)
{
    const char *set = getenv("AWS_REQUEST_CHECKSUM_CALCULATION");
    const uint8_t bytes[4] = { (uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc };
    char *base64 = set && !strcasecmp(set, "when_required") ? NULL : base64_make(bytes, 4, false);
    *header = base64 ? text : NULL;
    snprintf(text, S3_SUM_HEADER, "x-amz-checksum-crc32c: %s", base64 ? base64 : "");
    free(base64);
}

int s3_refused(const char *subject, const struct http_request *r, struct error *e)
{
    char why[400];
    struct span region = http_answer(r, "x-amz-bucket-region");
    http_reason(r, why, sizeof why);
    if (region.data && (r->status == 301 || r->status == 400))
        return error_set(e, STATUS_BAD, "'%s': %s; its bucket is in %.*s (AWS_REGION)", subject, why, (int)region.size,
                         (const char *)region.data);
    return error_set(e, STATUS_BAD, "'%s': %s", subject, why);
}

struct span xml_text(struct span *from, const char *tag)
{
    char open[40], close[40];
    snprintf(open, sizeof open, "<%s>", tag);
    snprintf(close, sizeof close, "</%s>", tag);
    const uint8_t *start = from->size ? memmem(from->data, from->size, open, strlen(open)) : NULL,
                  *end = from->data + from->size;
    if (!start)
        return (struct span){ 0 };
    start += strlen(open);
    const uint8_t *stop = memmem(start, (size_t)(end - start), close, strlen(close));
    if (!stop)
        return (struct span){ 0 };
    const uint8_t *rest = stop + strlen(close);
    *from = span_of(rest, (size_t)(end - rest));
    return span_of(start, (size_t)(stop - start));
}

char *xml_plain(struct span text)
{
    static const struct { const char *entity; char c; } known[] = {
        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' }, { "&#34;", '"' },
            { "&#39;", '\'' },
    };
    char *out = malloc(text.size + 1), *to = out;
    for (size_t i = 0; out && i < text.size;) {
        size_t used = 1;
        *to = (char)text.data[i];
        for (size_t j = 0; text.data[i] == '&' && j < sizeof known / sizeof *known; j++) {
            size_t n = strlen(known[j].entity);
            if (n <= text.size - i && !memcmp(text.data + i, known[j].entity, n)) {
                *to = known[j].c;
                used = n;
            }
        }
        to++;
        i += used;
    }
    if (out)
        *to = 0;
    return out;
}
