#!/bin/sh
# tests/bench/pipe.sh - what a filter that changes nothing costs, beside cat
#
#   tests/bench/pipe.sh [MEGABYTES]
# The same bytes go through `cat | X | cat`, X being cat and the no-op filter in
# turn: units of 1 MiB by bytes, units of 1 kB also by units.  The best of five;
# every byte is summed twice in the filter.  Not a test: prints, never fails.
set -eu
. "$(dirname "$0")/lib.sh"
tool=$build/unit/stream_test
make -C "$top" -s BUILD="$build" "$tool"
mb=${1:-400}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

seconds() { # seconds FILE CMD...: the best of five
    file=$1; shift
    for _ in 1 2 3 4 5; do
        from=$(date +%s.%N)
        cat "$file" | "$@" | cat >/dev/null
        echo "$from $(date +%s.%N)"
    done | awk '{ t = $2 - $1; if (!best || t < best) best = t } END { printf "%.4f", best }'
}
measure() { # measure NAME UNITS BYTES
    "$tool" make "$2" 1 "$3" >"$tmp/s"
    size=$(wc -c <"$tmp/s")
    a=$(seconds "$tmp/s" cat)
    b=$(seconds "$tmp/s" "$tool" pass -q)
    awk -v name="$1" -v n="$2" -v size="$size" -v a="$a" -v b="$b" 'BEGIN {
        printf "%s: cat %.2f GB/s, filter %.2f GB/s, ratio %.2f, %.0f units/s\n",
                name, size / a / 1e9, size / b / 1e9, a / b, n / b }' | tee -a "$tmp/told"
}
measure 'units of 1 MiB' "$mb" 1048000
measure 'units of 1 kB' "$((mb * 1000))" 900
goal 'a filter beside cat, 1 MiB units' least 0.9 "$(sed -n 's/^units of 1 MiB.*ratio \([^,]*\),.*/\1/p' "$tmp/told")"
goal 'a filter, 1 kB units a second' least 100000 "$(sed -n 's/^units of 1 kB.* \(.*\) units.s/\1/p' "$tmp/told")"
