#!/bin/sh
# tests/bench/transport.sh - fan and the protocol beside raw libzmq PUSH/PULL, same processes, same machine, same run
#
#   tests/bench/transport.sh [MEGABYTES]
# A source, one filter that changes nothing, a sink: joined by PUSH/PULL over ipc
# (which loses units when a process dies), by fan -j 1, and by LP1 over ipc, to a
# consumer that drops what it gets, as the others' sinks do, and to record, which
# writes it to a disk. The best of five, less the best of five with one unit alone:
# what it takes to start, to meet and to end; in brackets the same of medians. All
# take turns, so that what the machine does beside meets all. Not a test: prints,
# never fails.
set -eu
. "$(dirname "$0")/lib.sh"
tool=$build/unit/stream_test bench=$build/bench/transport_bench
make -C "$top" -s BUILD="$build" all "$tool" "$bench"
PATH="$top/bin:$PATH"
mb=${1:-400}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
a=ipc://$tmp/a b=ipc://$tmp/b
# The unit tests' libraries are linked into the filter: their threads are not to spin beside.
export OPENBLAS_NUM_THREADS=1

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
measure() { # measure NAME UNITS BYTES
    "$tool" make "$2" 1 "$3" >"$tmp/s"
    "$tool" make 1 1 "$3" >"$tmp/one"
    for _ in 1 2 3 4 5; do
        for how in raw fanned dropped recorded; do
            for file in one s; do
                [ "$file" = s ] && n=$2 || n=1
                from=$(date +%s.%N)
                "$how" "$tmp/$file" "$n"
                echo "$how $file $from $(date +%s.%N)"
            done
        done
    done | awk '{ print $1, $2, $4 - $3 }' | sort -k 1,2 -k 3n | awk -v name="$1" -v n="$2" -v size="$(wc -c <"$tmp/s")" '
        { t[$1, $2, ++at[$1, $2]] = $3 }
        function all(how, i) { return t[how, "s", i] - t[how, "one", i] }
        function tell(how, words) {
            printf "%s: %s %.2f (%.2f) GB/s, %.0f (%.0f) units/s, ratio %.2f (%.2f)\n",
                   name, words, size / all(how, 1) / 1e9, size / all(how, 3) / 1e9,
                   n / all(how, 1), n / all(how, 3), all("raw", 1) / all(how, 1), all("raw", 3) / all(how, 3)
        }
        END { tell("raw", "PUSH/PULL"); tell("fanned", "fan -j 1"); tell("dropped", "LP1")
              tell("recorded", "LP1 to disk") }' | tee -a "$tmp/told"
}
measure '1 MiB units' "$mb" 1048576
measure '1 kB units' "$((mb * 500))" 1000
goal 'fan -j 1 beside PUSH/PULL, 1 MiB units, of medians' least 0.9 \
    "$(sed -n 's/^1 MiB units: fan.*ratio .*(\(.*\))/\1/p' "$tmp/told")"
goal 'fan -j 1, 1 kB units a second, the median' least 100000 \
    "$(sed -n 's/^1 kB units: fan.*(\(.*\)) units.*/\1/p' "$tmp/told")"
