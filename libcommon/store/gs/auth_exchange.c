/* libcommon/store/gs/auth_exchange.c - asking a token server; see auth_impl.h */
#include <string.h>

#include "libcommon/store/gs/auth_impl.h"
#include "libcommon/store/http/retry.h"
#include "libcommon/sys/secret.h"

enum { METADATA_TRIES = 2, METADATA_SECONDS = 2 };

bool auth_address_ok(const char *url)
{
    static const char *const here[] = { "http://localhost", "http://127.0.0.1", "http://[::1]" };
    if (!strncmp(url, "https://", 8))
        return true;
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
        size_t n = strlen(here[i]);
        if (!strncmp(url, here[i], n) && (url[n] == ':' || url[n] == '/' || !url[n]))
            return true;
    }
    return false;
}

int auth_exchange(const struct exchange *x, struct buf *text, struct error *e)
{
    struct retry t;
    if (!x->nearby && !auth_address_ok(x->url))
        return error_set(e, STATUS_BAD, "%s: '%s' is not https, credentials are not sent there", x->what, x->url);
    int silent = 0;
    retry_begin(&t, x->what);
    for (;;) {
        struct http_request r;
        buf_clear(text);
        if (http_init(&r, x->method, x->url, e) < 0)
            return -1;
        r.into = text;
        r.no_proxy = x->nearby;
        r.connect_seconds = x->nearby ? METADATA_SECONDS : 0;
        if (x->body) {
            http_header(&r, "Content-Type: %s", x->content_type);
            r.has_body = true;
            r.body = span_of(x->body, strlen(x->body));
        }
        if (x->header)
            http_header(&r, "%s", x->header);
        http_perform((struct http_request *const[]){ &r }, 1);
        bool good = r.code == CURLE_OK && r.status / 100 == 2, bad = false;
        if (!good && x->nearby && r.code != CURLE_OK && ++silent == METADATA_TRIES)
            /* we are not on such a machine */
            bad = error_set(e, STATUS_AGAIN, "%s does not answer: %s", x->what, r.why);
        else if (!good)
            bad = retry_after(&t, &r, 0, e) < 0;
        http_release(&r);
        if (good || bad)
            return good ? 0 : -1;
    }
}

int token_exchange(const struct exchange *x, json_t **answer, struct error *e)
{
    struct buf text;
    json_error_t why;
    *answer = NULL;
    buf_init(&text, EXCHANGE_MAX);
    if (auth_exchange(x, &text, e) == 0 && !(*answer = json_loadb((const char *)text.data, text.size, 0, &why)))
        error_set(e, STATUS_AGAIN, "%s: the answer is not JSON", x->what);
    secret_release(&text);
    return *answer ? 0 : -1;
}
