#!/bin/sh
# tests/bench/mel.sh - log-mel features beside the rivals, on one core: times real time, and the ratio
#
#   tests/bench/mel.sh [BANDS]
# Each rival in turn with ours, three times, the best of each.  Rivals need a Python
# with torch, transformers and librosa: see lib.sh.
# Not a test: prints, never fails.
set -eu
. "$(dirname "$0")/lib.sh"
bands=${1:-80}
bench=$build/bench/mel_bench
make -C "$top" -s BUILD="$build" "$bench"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

for v in ref avx2 avx512; do
    rate=$(PENSTOCK_KERNELS=$v "$bench" "$bands" 2>/dev/null) || continue
    echo "log-mel, $bands bands, 30 s: $v $rate times real time"
done
best=0
for rival in torch librosa transformers; do
    ours=0 theirs=0
    for _ in 1 2 3; do
        a=$("$bench" "$bands") || exit 0
        b=$("$python" "$top/tests/bench/mel.py" "$rival" "$bands" 2>/dev/null) || {
            echo "log-mel beside $rival: not measured, it is not in $python"
            continue 2
        }
        [ "$a" -le "$ours" ] || ours=$a
        [ "$b" -le "$theirs" ] || theirs=$b
    done
    ratio=$(awk "BEGIN { printf \"%.1f\", $ours / $theirs }")
    echo "log-mel, $bands bands, 30 s: ours $ours, $rival $theirs times real time, ratio $ratio"
    [ "$theirs" -le "$best" ] || best=$theirs all=$ours
done
[ "$best" = 0 ] || goal "log-mel, $bands bands, a core, beside the best of the rivals" least 3 \
    "$(awk "BEGIN { printf \"%.1f\", $all / $best }")"
