/* libcommon/store/s3/uploads.h - uploads in parts to s3://: begun, found again, given up */
#ifndef PENSTOCK_S3_UPLOADS_H
#define PENSTOCK_S3_UPLOADS_H

#include "libcommon/store/s3/s3.h"

enum { S3_PARTS_MAX = 10000 };

struct s3_part {
    char etag[96], crc32c[16];  /* as the store told them, with quotes, and base64; etag "": it has no such part */
    uint64_t size;
};

struct s3_upload {
    char *id;                   /* percent-encoded; NULL: none */
    bool summed, full;          /* the store keeps crc32c of its parts; of the whole object */
    struct s3_part *part;       /* S3_PARTS_MAX, number 1 first */
    unsigned found;             /* parts that an earlier writer sent */
};

/* The newest upload of url that is unfinished, with its parts, else a new one. */
int s3_upload_begin(struct s3_upload *u, const char *url, const struct s3_name *name, struct error *e);
void s3_upload_drop(const struct s3_upload *u, const struct s3_name *name);
void s3_upload_release(struct s3_upload *u);

#endif
