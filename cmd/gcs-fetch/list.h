/* cmd/gcs-fetch/list.h - gcs-fetch --list */
#ifndef GCS_FETCH_LIST_H
#define GCS_FETCH_LIST_H

/* Prints every object under the prefix as a line of JSON: id, name, path, size,
 * generation, crc32c; a manifest that pins what it names.  out NULL: standard output.  Returns
 * the exit status. */
int list_print(const char *prefix, const char *out);

#endif
