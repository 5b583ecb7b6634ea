/* libcommon/store/http/http.c - see http.h: the loop that runs requests, and reading their answers */
#include "libcommon/store/http/http.h"

#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/sys/clock.h"
#include "libcommon/sys/stop.h"

enum { CONNECT_SECONDS = 20, BUFFER_BYTES = 512 << 10 };

/* --- the loop ------------------------------------------------------------------- */

static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    pthread_cond_t done;
    CURLM *multi;
    struct http_request *queue;     /* to be begun */
    bool answered;
} loop = { .once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };

static void queue_begin(void)
{
    pthread_mutex_lock(&loop.lock);
    struct http_request *r = loop.queue;
    loop.queue = NULL;
    pthread_mutex_unlock(&loop.lock);
    while (r) {
        struct http_request *next = r->next;
        if (curl_multi_add_handle(loop.multi, r->easy) != CURLM_OK) {
            pthread_mutex_lock(&loop.lock);
            r->code = CURLE_OUT_OF_MEMORY;
            r->done = true;
            pthread_cond_broadcast(&loop.done);
            pthread_mutex_unlock(&loop.lock);
        }
        r = next;
    }
}

static double stall_seconds(void)
{
    const char *text = getenv("PENSTOCK_STORE_STALL");
    double n = text ? strtod(text, NULL) : 0;
    return n > 0 ? n : 20;
}

static void finished_collect(void)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(loop.multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        struct http_request *r = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &r);
        curl_multi_remove_handle(loop.multi, easy);
        pthread_mutex_lock(&loop.lock);
        r->code = r->more ? CURLE_OK : r->stalled ? CURLE_OPERATION_TIMEDOUT : code;
        if (r->stalled)
            snprintf(r->why, sizeof r->why, "nothing came for %.0f s", stall_seconds());
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &r->status);
        loop.answered |= r->status > 0;
        r->done = true;
        pthread_cond_broadcast(&loop.done);
        pthread_mutex_unlock(&loop.lock);
    }
}

static void *loop_run(void *unused)
{
    (void)unused;
    for (;;) {
        int running;
        queue_begin();
        curl_multi_perform(loop.multi, &running);
        finished_collect();
        curl_multi_poll(loop.multi, NULL, 0, 1000, NULL);
    }
    return NULL;
}

static void loop_start(void)
{
    pthread_t thread;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(loop.multi = curl_multi_init()))
        return;
    curl_multi_setopt(loop.multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HTTP_CONNECTIONS);
    curl_multi_setopt(loop.multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS);
    if (pthread_create(&thread, NULL, loop_run, NULL) == 0) {
        pthread_detach(thread);
        return;
    }
    curl_multi_cleanup(loop.multi);
    loop.multi = NULL;
}

/* --- one request -------------------------------------------------------------------- */

static size_t body_write(char *data, size_t size, size_t n, void *ctx)
{
    struct http_request *r = ctx;
    size_t bytes = size * n, left = bytes;
    long status = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2) {
        size_t keep = HTTP_REASON_MAX - r->reason.size;
        buf_append(&r->reason, data, left < keep ? left : keep);
        return bytes;
    }
    if (status == 200 && r->skipped < r->skip) {
        uint64_t drop = r->skip - r->skipped < left ? r->skip - r->skipped : left;
        r->skipped += drop;
        data += drop;
        left -= (size_t)drop;
    }
    if (r->into) {
        if (left > r->into->max - r->into->size) {
            r->more = true;
            return 0;
        }
        buf_append(r->into, data, left);
        r->got += left;
        return r->into->failed ? 0 : bytes;
    }
    size_t keep = left < r->room - r->got ? left : r->room - r->got;
    if (keep)
        memcpy(r->to + r->got, data, keep);
    r->got += keep;
    r->more = keep < left;
    return r->more ? 0 : bytes;
}

static size_t header_write(char *data, size_t size, size_t n, void *ctx)
{
    struct http_request *r = ctx;
    if (size * n >= 5 && !strncmp(data, "HTTP/", 5))
        buf_clear(&r->answer);      /* of a redirect, or 100 Continue */
    buf_append(&r->answer, data, size * n);
    return r->answer.failed ? 0 : size * n;
}

/* About once a second while a request runs; 1 ends it.  (libcurl's own limit of speed
 * looks at five seconds at least, and counts slow links as stalled ones.) */
static int interrupted(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    (void)down_all, (void)up_all;
    struct http_request *r = ctx;
    double now = clock_seconds();
    if (r->moved_at <= 0 || down + up != r->moved) {
        r->moved = down + up;
        r->moved_at = now;
    }
    r->stalled = now - r->moved_at > stall_seconds();
    return r->stalled || stop_asked();
}

int http_init(struct http_request *r, const char *method, const char *url, struct error *e)
{
    *r = (struct http_request){ .method = method, .url = strdup(url) };
    buf_init(&r->answer, HTTP_HEADERS_MAX);
    buf_init(&r->reason, HTTP_REASON_MAX + 1);
    pthread_once(&loop.once, loop_start);
    r->easy = loop.multi && r->url ? curl_easy_init() : NULL;
    if (!r->easy) {
        http_release(r);
        return error_set(e, STATUS_AGAIN, "cannot begin a request to '%s': out of memory or threads", url);
    }
    return 0;
}

void http_release(struct http_request *r)
{
    if (r->easy)
        curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->header);
    buf_release(&r->answer);
    buf_release(&r->reason);
    free(r->url);
    *r = (struct http_request){ .method = NULL };
}

int http_header(struct http_request *r, const char *fmt, ...)
{
    char *line;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -1;
    struct curl_slist *list = curl_slist_append(r->header, line);
    free(line);
    if (!list)
        return -1;
    r->header = list;
    return 0;
}

static void request_set(struct http_request *r)
{
    CURL *c = r->easy;
    http_header(r, "Expect:");
    http_header(r, "User-Agent: penstock/" PENSTOCK_VERSION);
    curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl_easy_setopt(c, CURLOPT_PRIVATE, r);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, r->follow ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 8L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)(r->connect_seconds ? r->connect_seconds : CONNECT_SECONDS));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, body_write);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, header_write);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, interrupted);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->why);
    if (r->no_proxy)
        curl_easy_setopt(c, CURLOPT_PROXY, "");
    if (!strcmp(r->method, "HEAD")) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (r->has_body) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.size);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body.size ? (const char *)r->body.data : "");
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    } else {
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    }
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->header);
}

void http_perform(struct http_request *const *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        request_set(r[i]);
    pthread_mutex_lock(&loop.lock);
    for (size_t i = 0; i < n; i++) {
        r[i]->next = loop.queue;
        loop.queue = r[i];
    }
    curl_multi_wakeup(loop.multi);
    for (size_t i = 0; i < n; i++)
        while (!r[i]->done)
            pthread_cond_wait(&loop.done, &loop.lock);
    pthread_mutex_unlock(&loop.lock);
}

bool http_ever_answered(void)
{
    pthread_mutex_lock(&loop.lock);
    bool answered = loop.answered;
    pthread_mutex_unlock(&loop.lock);
    return answered;
}

/* --- answers -------------------------------------------------------------------------- */

static struct span header_find(const char *p, const char *end, const char *name)
{
    size_t n = strlen(name);
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        if ((size_t)(stop - p) > n && !strncasecmp(p, name, n) && p[n] == ':') {
            const char *value = p + n + 1;
            while (value < stop && (*value == ' ' || *value == '\t'))
                value++;
            while (stop > value && (stop[-1] == '\r' || stop[-1] == ' '))
                stop--;
            return span_of(value, (size_t)(stop - value));
        }
        p = newline ? newline + 1 : end;
    }
    return (struct span){ 0 };
}

struct span http_answer(const struct http_request *r, const char *name)
{
    const char *p = (const char *)r->answer.data;
    return header_find(p, p + r->answer.size, name);
}

struct span http_answer_next(const struct http_request *r, const char *name, struct span last)
{
    const char *end = (const char *)r->answer.data + r->answer.size;
    const char *newline = memchr(last.data + last.size, '\n', (size_t)(end - (const char *)(last.data + last.size)));
    return newline ? header_find(newline + 1, end, name) : (struct span){ 0 };
}

static bool digits_read(struct span *s, uint64_t *v)
{
    size_t i = 0;
    uint64_t n = 0;
    for (; i < s->size && s->data[i] >= '0' && s->data[i] <= '9'; i++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(s->data[i] - '0'), &n))
            return false;
    *s = span_of(s->data + i, s->size - i);
    *v = n;
    return i > 0;
}

bool http_answer_u64(const struct http_request *r, const char *name, uint64_t *v)
{
    struct span s = http_answer(r, name);
    return s.data && digits_read(&s, v) && s.size == 0;
}

bool http_content_range(const struct http_request *r, uint64_t *from, uint64_t *total)
{
    struct span s = http_answer(r, "Content-Range");
    uint64_t to;
    if (!s.data || s.size < 6 || strncasecmp((const char *)s.data, "bytes ", 6))
        return false;
    s = span_of(s.data + 6, s.size - 6);
    if (!digits_read(&s, from) || !s.size || *s.data != '-')
        return false;
    s = span_of(s.data + 1, s.size - 1);
    if (!digits_read(&s, &to) || !s.size || *s.data != '/' || to < *from)
        return false;
    s = span_of(s.data + 1, s.size - 1);
    return digits_read(&s, total) && s.size == 0 && to < *total;
}

void http_reason(const struct http_request *r, char *text, size_t size)
{
    if (r->code != CURLE_OK) {
        snprintf(text, size, "%s", *r->why ? r->why : curl_easy_strerror(r->code));
        return;
    }
    const char *body = (const char *)r->reason.data, *from = NULL, *to = NULL;
    size_t n = r->reason.size;
    json_error_t why;
    json_t *j = n ? json_loadb(body, n, 0, &why) : NULL;
    json_t *error = json_object_get(j, "error"), *message = json_object_get(error, "message");
    if (!message)
        message = json_object_get(j, "error_description");
    if (!message && json_is_string(error))
        message = error;
    if (json_is_string(message)) {
        from = json_string_value(message);
        to = from + strlen(from);
    } else if (n && (from = memmem(body, n, "<Message>", 9))) {
        from += 9;
        to = memmem(from, n - (size_t)(from - body), "</Message>", 10);
    }
    if (from && to)
        snprintf(text, size, "HTTP %ld, %.*s", r->status, (int)(to - from < 300 ? to - from : 300), from);
    else
        snprintf(text, size, "HTTP %ld", r->status);
    json_decref(j);
}

char *url_escape(const char *text, const char *keep)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    char *out = malloc(3 * strlen(text) + 1), *p = out;
    if (!out)
        return NULL;
    for (; *text; text++)
        if (strchr(plain, *text) || strchr(keep, *text))
            *p++ = *text;
        else
            p += sprintf(p, "%%%02X", (unsigned char)*text);
    *p = 0;
    return out;
}
