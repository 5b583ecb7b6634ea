/* libcommon/format/csv.h - records of comma or tab separated values (RFC 4180)
 *
 * A field that begins with a quote ends at the next single quote; two quotes in
 * it are one; commas and newlines in it are text.  A quote elsewhere is a
 * character like any other.  Lines end with LF or CRLF.
 *
 * Tab separated values are often written without any such rule (Common Voice).
 * There a first quote is a character too unless its field ends at a closing one, and
 * a quoted field holds newlines or tabs, not both: it would be the rows that follow. */
#ifndef PENSTOCK_CSV_H
#define PENSTOCK_CSV_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

/* --- where records end: a state that is fed bytes ------------------------------- */
struct csv_scan {
    char separator;
    char state;                 /* private; starts at 0 */
};
/* The bytes up to and with the newline that ends the record, or 0 if `bytes` end
 * before it (all were taken; feed what follows).  *lines grows by the newlines
 * that were passed. */
size_t csv_scan(struct csv_scan *s, struct span bytes, uint64_t *lines);
bool csv_scan_quoted(const struct csv_scan *s);     /* inside a quoted field now? */
/* Of the bytes of a record, all of which were fed and of which `end` is what csv_scan said,
 * those that are one: of a quote that never closes only the line is taken, since what
 * follows may be sound. */
size_t csv_record_size(const struct csv_scan *s, struct span bytes, size_t end);

/* --- one record into fields ------------------------------------------------------ */
enum { CSV_FIELDS = 1024 };
struct csv_record {
    struct buf text;            /* what fields point into */
    struct span field[CSV_FIELDS];
    bool quoted[CSV_FIELDS];
    size_t n;
};
void csv_record_init(struct csv_record *r);
void csv_record_release(struct csv_record *r);
/* bytes: one record, its newline with it or not.  -1: a quote that never closes,
 * text after a closing quote (in CSV), too many fields. */
int csv_record_read(struct csv_record *r, struct span bytes, char separator, struct error *e);

#endif
