#!/bin/sh
# tests/bench/stores.sh - a bucket far away: many objects at once beside one at a time, and memory with very many
#
#   tests/bench/stores.sh [OBJECTS]
# Objects of 100 kB at 50 ms of latency from the server of tests/fault, one at a time
# and 64 jobs; then OBJECTS (100,000) of 1 kB listed, and all fetched, with their peak
# memory.  The server is Python and takes most of the processor.  Not a test: prints, never fails.
set -eu
. "$(dirname "$0")/lib.sh"
make -C "$top" -s BUILD="$build" all "$build/unit/store_test"
PATH="$top/bin:$PATH"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
. "$top/tests/fault/lib.sh"
cd "$tmp"
unset GOOGLE_APPLICATION_CREDENTIALS GCS_OAUTH_TOKEN CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE http_proxy HTTP_PROXY
export HOME="$tmp"

objects_make() { # objects_make PREFIX HOW-MANY BYTES
    python3 -c '
import os, sys
prefix, many, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs("root/b/" + prefix)
body = os.urandom(size)
for i in range(many):
    with open("root/b/%s/%06d.wav" % (prefix, i), "wb") as f:
        f.write(body)
' "$@"
}
measured() { # measured CMD...: its seconds and peak of memory in MB; its output to ./out
    python3 -c '
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=open("out", "wb"), check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print("%.2f %.0f" % (time.perf_counter() - start, peak / (1e6 if sys.platform == "darwin" else 1e3)))
' "$@"
}

server_start --latency 50
export STORAGE_EMULATOR_HOST="$server"
objects_make far 600 100000
gcs-fetch -q --list gs://b/far/ >far.jsonl
head -n 60 far.jsonl >few.jsonl
one=$(measured gcs-fetch -q --jobs 1 few.jsonl)
many=$(measured gcs-fetch -q --jobs 64 far.jsonl)
echo "$one $many" | awk '{ a = 60 / $1; b = 600 / $3
    printf "100 kB objects at 50 ms: one at a time %.0f/s, 64 jobs %.0f/s, ratio %.0f\n", a, b, b / a }' | tee told
goal '100 kB objects at 50 ms, 64 jobs beside one at a time' least 20 "$(sed 's/.*ratio //' told)"
server_stop || :
rm -rf root/b/far

n=${1:-100000}
objects_make very-many "$n" 1000
server_start
export STORAGE_EMULATOR_HOST="$server"
list=$(measured gcs-fetch -q --list gs://b/very-many/)
mv out all.jsonl
fetch=$(measured gcs-fetch -q --jobs 64 all.jsonl)
units=$(stream-show -q out | wc -l | tr -d ' ')
echo "$list $fetch $units" | awk -v n="$n" '{
    printf "%d objects: listed in %.0f s with %d MB, %d units fetched in %.0f s with %d MB\n", n, $1, $2, $5 - 0, $3, $4 }'
