/* tests/fuzz/csv_fuzz.c - any bytes as CSV: the scanner and the reader agree on where a record ends */
#include <stdlib.h>

#include "libcommon/format/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct csv_record record;
    struct error e;
    size_t at = 0;
    if (!record.text.max)
        csv_record_init(&record);
    char separator = size && data[0] & 1 ? '\t' : ',';
    while (at < size) {
        struct csv_scan scan = { .separator = separator };
        uint64_t lines = 0;
        size_t end = csv_scan(&scan, span_of(data + at, size - at), &lines),
               n = csv_record_size(&scan, span_of(data + at, size - at), end);
        bool open = csv_scan_quoted(&scan) && separator == ',';
        if (csv_record_read(&record, span_of(data + at, n), separator, &e) == 0) {
            if (open)
                abort();        /* a record was read whose quote is open */
            size_t total = 0;
            for (size_t i = 0; i < record.n; i++)
                total += record.field[i].size;
            if (total > n)
                abort();
        }
        if (lines > size - at || n > size - at || !n)
            abort();
        at += n;
    }
    return 0;
}
