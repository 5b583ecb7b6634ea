#!/bin/sh
# tests/bench/transport.sh - fan and the protocol beside raw libzmq PUSH/PULL, same processes, same machine, same run
#
#   tests/bench/transport.sh [MEGABYTES]
# A source, one filter that changes nothing, a sink: joined by PUSH/PULL over ipc
# (which loses units when a process dies), by fan -j 1, and by LP1 over ipc, to a
# consumer that drops what it gets, as the others' sinks do, and to record, which
# writes it to a disk. The best of five, less the best of five with one unit alone:
# what it takes to start, to meet and to end. Not a test: prints, never fails.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/obj}
tool=$build/unit/stream_test bench=$build/bench/transport_bench
make -C "$top" -s BUILD="$build" all "$tool" "$bench"
PATH="$top/bin:$PATH"
mb=${1:-400}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
a=ipc://$tmp/a b=ipc://$tmp/b
export OPENBLAS_NUM_THREADS=1          # the unit tests' libraries are linked into the filter: their threads are not to spin beside

raw() { "$bench" push "$1" "$a" & "$bench" work "$a" "$b" "$2" & "$bench" pull "$b" "$2"; wait; }
fanned() { cat "$1" | fan -q --cpus none -j 1 "$tool pass -q" | cat >/dev/null; }
served() { # served FILE CMD...: what takes the units
    replay -q --out "@$a" "$1" &
    shift
    fan -q --cpus none -j 1 --in "$a" --out "$b" "$tool pass -q" &
    "$@"
    wait
}
dropped() { served "$1" "$bench" drop "@$b" "$a"; }
recorded() {
    rm -rf "$tmp/got"
    served "$1" record -q --max-errors 100% --in "@$b" --head "$a" "$tmp/got"
}
best() { # best UNITS HOW: seconds, the best of five, less that of one unit
    for file in one s; do
        [ "$file" = s ] && n=$1 || n=1
        for _ in 1 2 3 4 5; do
            from=$(date +%s.%N)
            "$2" "$tmp/$file" "$n"
            echo "$file $from $(date +%s.%N)"
        done
    done | awk '{ t = $3 - $2; if (!best[$1] || t < best[$1]) best[$1] = t } END { printf "%.4f", best["s"] - best["one"] }'
}
measure() { # measure NAME UNITS BYTES
    "$tool" make "$2" 1 "$3" >"$tmp/s"
    "$tool" make 1 1 "$3" >"$tmp/one"
    size=$(wc -c <"$tmp/s")
    r=$(best "$2" raw) f=$(best "$2" fanned) l=$(best "$2" dropped) d=$(best "$2" recorded)
    awk -v name="$1" -v n="$2" -v size="$size" -v r="$r" -v f="$f" -v l="$l" -v d="$d" 'BEGIN {
        printf "%s: PUSH/PULL %.2f GB/s %.0f units/s; fan -j 1 %.2f GB/s %.0f units/s, ratio %.2f; LP1 %.2f GB/s %.0f units/s, ratio %.2f; to disk %.2f GB/s %.0f units/s\n", name,
               size / r / 1e9, n / r, size / f / 1e9, n / f, r / f, size / l / 1e9, n / l, r / l, size / d / 1e9, n / d }'
}
measure '1 MiB units' "$mb" 1048576
measure '1 kB units' "$((mb * 500))" 1000
