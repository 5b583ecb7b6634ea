#!/bin/sh
# tests/bench/transport.sh - fan and the protocol beside raw libzmq PUSH/PULL, same processes, same machine, same run
#
#   tests/bench/transport.sh [MEGABYTES]
# A source, one filter that changes nothing, a sink: joined by PUSH/PULL over ipc
# (which loses units when a process dies), by fan -j 1, and by LP1 over ipc, to a
# consumer that drops what it gets, as the others' sinks do, and to record, which
# writes it to a disk. The best of five. Not a test: prints, never fails.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/obj}
tool=$build/unit/stream_test bench=$build/bench/transport_bench
make -C "$top" -s "$tool" "$bench"
mb=${1:-400}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
a=ipc://$tmp/a b=ipc://$tmp/b
export OPENBLAS_NUM_THREADS=1          # the unit tests' libraries are linked into the filter: their threads are not to spin beside

raw() { "$bench" push "$tmp/s" "$a" & "$bench" work "$a" "$b" "$1" & "$bench" pull "$b" "$1"; wait; }
fanned() { cat "$tmp/s" | fan -q --cpus none -j 1 "$tool pass -q" | cat >/dev/null; }
served() { # served CMD...: what takes the units
    replay -q --out "@$a" "$tmp/s" &
    fan -q --cpus none -j 1 --in "$a" --out "$b" "$tool pass -q" &
    "$@"
    wait
}
dropped() { served "$bench" drop "@$b" "$a"; }
recorded() {
    rm -rf "$tmp/got"
    served record -q --max-errors 100% --in "@$b" --head "$a" "$tmp/got"
}
best() { # best CMD...: seconds, the best of five
    for _ in 1 2 3 4 5; do
        from=$(date +%s.%N)
        "$@"
        echo "$from $(date +%s.%N)"
    done | awk '{ t = $2 - $1; if (!best || t < best) best = t } END { printf "%.4f", best }'
}
measure() { # measure NAME UNITS BYTES
    "$tool" make "$2" 1 "$3" >"$tmp/s"
    size=$(wc -c <"$tmp/s")
    r=$(best raw "$2") f=$(best fanned) l=$(best dropped) d=$(best recorded)
    awk -v name="$1" -v n="$2" -v size="$size" -v r="$r" -v f="$f" -v l="$l" -v d="$d" 'BEGIN {
        printf "%s: PUSH/PULL %.2f GB/s %.0f units/s; fan -j 1 %.2f GB/s %.0f units/s, ratio %.2f; LP1 %.2f GB/s %.0f units/s, ratio %.2f; to disk %.2f GB/s %.0f units/s\n", name,
               size / r / 1e9, n / r, size / f / 1e9, n / f, r / f, size / l / 1e9, n / l, r / l, size / d / 1e9, n / d }'
}
measure '1 MiB units' "$mb" 1048576
measure '1 kB units' "$((mb * 500))" 1000
