/* tests/unit/csv_test.c - records and fields of comma and tab separated text */
#include "libcommon/format/csv.h"
#include "tests/unit/tap.h"

static struct csv_record record;

/* The fields joined by '|', or the error. */
static const char *fields(const char *text, char separator)
{
    static char got[1000];
    struct error e;
    if (csv_record_read(&record, span_of(text, strlen(text)), separator, &e) < 0)
        return strcpy(got, e.text);
    *got = 0;
    for (size_t i = 0; i < record.n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", i ? "|" : "", (int)record.field[i].size,
                 (const char *)record.field[i].data);
    return got;
}

/* Records of a text that is fed in pieces of n bytes: their lengths. */
static const char *records(const char *text, size_t n)
{
    static char got[1000];
    struct csv_scan scan = { .separator = ',' };
    size_t length = 0, size = strlen(text), at = 0;
    uint64_t lines = 0;
    *got = 0;
    while (at < size) {
        size_t fresh = size - at < n ? size - at : n, end = csv_scan(&scan, span_of(text + at, fresh), &lines);
        at += end ? end : fresh;
        length += end ? end : fresh;
        if (end) {
            snprintf(got + strlen(got), sizeof got - strlen(got), "%zu ", length);
            length = 0;
        }
    }
    snprintf(got + strlen(got), sizeof got - strlen(got), "(%llu lines%s)", (unsigned long long)lines,
             csv_scan_quoted(&scan) ? ", open" : "");
    return got;
}

int main(void)
{
    csv_record_init(&record);
    is_str(fields("a,b,c\n", ','), "a|b|c", "plain fields");
    is_str(fields("a,b,c\r\n", ','), "a|b|c", "a carriage return before the newline is no text");
    is_str(fields("a,b,", ','), "a|b|", "an empty last field is a field");
    is_str(fields("", ','), "", "an empty record has one empty field");
    is_int((long long)record.n, 1, "just one");
    is_str(fields("\"a,b\",\"c\nd\",\"e\"\"f\"\n", ','), "a,b|c\nd|e\"f",
           "commas, newlines and doubled quotes inside quotes are text");
    is_str(fields("\"\",\"\"\"\"\n", ','), "|\"", "empty quotes, and one quote");
    is_str(fields("5\" disk,b\n", ','), "5\" disk|b", "a quote inside a plain field is a character");
    is_str(fields("a\tb, c\td\n", '\t'), "a|b, c|d", "tabs separate, commas are text");
    is_str(fields("a,\"b\n", ','), "the quote that opens field 2 never closes", "an open quote is named");
    is_str(fields("\"a\"b,c\n", ','), "text after the quote that closes field 1 (a quote in a field is written twice)",
           "text behind a closing quote is an error");
    is_str(fields("\"a\tb\"\t\"c\nd\"\t\"e\"\"f\"\n", '\t'), "a\tb|c\nd|e\"f",
           "quoted fields of TSV hold tabs, newlines and doubled quotes");
    is_str(fields("\"Well,\" he said.\tx\t\"\n", '\t'), "\"Well,\" he said.|x|\"",
           "a quote that does not end its field is a character in TSV");
    is_str(fields("x\t\"a\nb\" c\n", '\t'), "the quote that opens field 2 does not close before the line ends",
           "but not over lines");
    is_str(fields("x\t\"a\nb\tc\"\n", '\t'), "the quote that opens field 2 does not close before the line ends",
           "nor are rows a field");
    struct error e;
    char many[CSV_FIELDS + 2];
    memset(many, ',', sizeof many);
    ok(csv_record_read(&record, span_of(many, sizeof many), ',', &e) < 0, "too many fields: %s", e.text);

    const char *text = "a,b\n\"x\ny\",z\n\"q\"\"\n\",1\r\nlast";
    for (size_t n = 1; n < 30; n += 7)
        is_str(records(text, n), "4 8 10 (5 lines)", "records end where they should, whatever the pieces");
    is_str(records("a,\"b\nc\nd\n", 100), "(3 lines, open)", "an open quote takes the rest");
    struct { const char *text; size_t size; } open[] = { { "a\t\"b\t1\nc\"\t2\n", 7 }, { "a\t\"b\nc\td\n", 5 },
                                                         { "a\t\"b", 4 }, { "a\t\"b\nc\"\nd\n", 8 } };
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        struct csv_scan scan = { .separator = '\t' };
        uint64_t lines = 0;
        struct span all = span_of(open[i].text, strlen(open[i].text));
        size_t end = csv_scan(&scan, all, &lines);
        is_int((long long)csv_record_size(&scan, all, end), (long long)open[i].size,
               "where a record of TSV ends whose quote may never close");
    }
    is_str(records("a\"b\nc\n", 100), "4 2 (2 lines)", "a quote inside a plain field opens nothing");
    csv_record_release(&record);
    return done();
}
