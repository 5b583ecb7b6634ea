/* libcommon/store/http/http.h - one HTTP request, by libcurl; what is retried is decided in retry.h
 *
 * All requests of a process run on one curl_multi loop in a thread of its own,
 * which keeps connections for whoever asks next (HTTP/1.1, many connections:
 * faster from object stores than one HTTP/2 connection).  Callers block.  Bodies
 * go to memory that the caller owns, of a size it names. */
#ifndef PENSTOCK_HTTP_H
#define PENSTOCK_HTTP_H

#include <curl/curl.h>

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

enum { HTTP_CONNECTIONS = 64, HTTP_HEADERS_MAX = 64 << 10, HTTP_REASON_MAX = 16 << 10 };

struct http_request {
    /* what is asked */
    const char *method;
    char *url;
    struct curl_slist *header;
    struct span body;           /* borrowed; sent if `has_body` */
    bool has_body;
    bool no_proxy, follow;      /* follow: redirects, for anonymous reading */
    int connect_seconds;        /* 0: 20 */
    /* where a 2xx body goes: `room` bytes at `to`, or `into` if that is set */
    uint8_t *to;
    size_t room;
    struct buf *into;
    uint64_t skip;              /* of a 200: bytes to drop first, if the server ignores ranges */
    /* what came */
    CURLcode code;
    long status;                /* 0: none */
    size_t got;                 /* bytes of a 2xx body that were kept */
    bool more;                  /* the body was longer than there was room; the rest was not read */
    struct buf answer;          /* header lines of the last answer */
    struct buf reason;          /* the begin of another body */
    char why[CURL_ERROR_SIZE];
    /* the machinery's own */
    CURL *easy;
    uint64_t skipped;
    curl_off_t moved;           /* bytes of either direction, and when they last grew */
    double moved_at;
    bool stalled, done;
    struct http_request *next;
};

/* url is copied.  Release also if perform was never called. */
int http_init(struct http_request *r, const char *method, const char *url, struct error *e);
void http_release(struct http_request *r);
int http_header(struct http_request *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Runs n requests side by side and waits for all.  Failures are in each: code, status. */
void http_perform(struct http_request *const *r, size_t n);

/* Has any server answered anything, since the program began? */
bool http_ever_answered(void);

/* A header of the answer, its first occurrence; NULL data: none.  Not NUL-terminated. */
struct span http_answer(const struct http_request *r, const char *name);
/* The next line of that name after `last`, which http_answer returned. */
struct span http_answer_next(const struct http_request *r, const char *name, struct span last);
bool http_answer_u64(const struct http_request *r, const char *name, uint64_t *v);
/* "bytes A-B/TOTAL" of a 206; false if it is not that. */
bool http_content_range(const struct http_request *r, uint64_t *from, uint64_t *total);

/* What the server said went wrong, from a JSON or XML body; else its status or curl's words. */
void http_reason(const struct http_request *r, char *text, size_t size);

/* Everything but unreserved characters as %XX; `keep` is left as it is.  malloc'd. */
char *url_escape(const char *text, const char *keep);

#endif
