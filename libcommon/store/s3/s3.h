/* libcommon/store/s3/s3.h - S3 and what speaks like it, as the files of this room share it */
#ifndef PENSTOCK_S3_H
#define PENSTOCK_S3_H

#include "libcommon/store/http/http.h"
#include "libcommon/store/kind.h"

struct s3_name {
    char *url;                  /* "https://host/path" without a query, percent-encoded */
    char *host, *path;          /* as they are signed */
    char *key;                  /* percent-encoded whole, for queries */
};
/* Where s3://BUCKET/KEY is: at AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else at Amazon's. */
int s3_name_read(const char *url, struct s3_name *name, bool key_needed, struct error *e);
/* The same for the bucket itself (listing); its key stays. */
int s3_bucket_read(const char *url, struct s3_name *name, struct error *e);
void s3_name_release(struct s3_name *name);

/* What is asked of a server. */
struct s3_ask {
    const char *method;
    const struct s3_name *name;
    const char *query;          /* percent-encoded, without '?'; NULL: none */
    const struct span *body;    /* NULL: none */
    uint64_t offset, n;         /* n > 0: a range */
    const char *header[4];      /* further "name: value" with names in lower case, NULL behind them */
};
/* Begins a signed request. */
int s3_request(struct http_request *r, const struct s3_ask *ask, struct error *e);
/* A request that is tried again while that may help; 0: r is an answer, whatever its status. */
int s3_call(const char *subject, const struct s3_ask *ask, struct http_request *r, struct buf *answer, struct error *e);
int s3_refused(const char *subject, const struct http_request *r, struct error *e);

/* The text between <tag> and </tag> in *from, which is moved behind it; an empty span if there is none. */
struct span xml_text(struct span *from, const char *tag);
/* The same text with its entities replaced; malloc'd, NULL out of memory. */
char *xml_plain(struct span text);

/* Keys in listings come percent-encoded, because XML cannot hold all of them. */
void s3_key_decode(struct buf *b, struct span text);

/* Access keys; id NULL: anonymous.  They are renewed before they end; older ones stay
 * where they are, for those who sign with them just then. */
struct s3_keys {
    char *id, *secret, *token, *region;
    double expires;             /* clock_seconds(); 0: never */
    struct s3_keys *before;
};
int s3_keys_get(const struct s3_keys **keys, struct error *e);
/* Keys of a role, from a token server; k->region is known.  1: *k filled; 0: the environment names none; -1. */
int s3_keys_of_identity(struct s3_keys *k, struct error *e);    /* AWS_WEB_IDENTITY_TOKEN_FILE */
int s3_keys_of_container(struct s3_keys *k, struct error *e);   /* AWS_CONTAINER_CREDENTIALS_... */
int s3_keys_of_machine(struct s3_keys *k, struct error *e);     /* the metadata service of EC2; 0 also if nobody answers */

/* "x-amz-checksum-crc32c: BASE64" of data, for an upload; *header NULL where AWS_REQUEST_CHECKSUM_CALCULATION
 * wants none.  The text holds it. */
enum { S3_SUM_HEADER = 48 };
void s3_sum_header(uint32_t crc, char text[S3_SUM_HEADER], const char **header);

int s3_put(const char *url, const void *data, size_t n, struct error *e);
int s3_uploads_drop(const char *prefix, struct error *e);
int s3_stat(const char *url, struct object_info *i, struct error *e);
struct store_writer *s3_writer_open(const char *url, struct error *e);
int s3_writer_append(struct store_writer *w, const void *data, size_t n, struct error *e);
int s3_writer_commit(struct store_writer *w, struct error *e);
void s3_writer_abort(struct store_writer *w);

#endif
