#!/bin/sh
# tests/filters/allocations.t - after the first step the trainer takes no more memory, whatever the lengths of rows
. "$(dirname "$0")/lib.sh"
micro=$golden/whisper-micro
if [ "$(uname -s)" != Linux ] || ! "${CC:-cc}" -shared -fPIC -o "$tmp/told.so" "$here/allocations.c" -ldl 2>/dev/null ||
   ! LD_PRELOAD=$tmp/told.so train-step --version >/dev/null 2>&1; then
    skip 'memory after the first step' 'allocations cannot be watched in this build'
    plan; exit 0
fi
perl "$here/micro-stream.pl" "$micro" --epochs 4 >"$tmp/four"
# OpenBLAS takes 128 MiB of addresses for a thread that multiplies for the first time, which may be later: not counted
# rows of 22, 19 and 13 tokens: batches differ, and the second is longer than none before
for options in '--dtype float32' '--dtype bfloat16' '--lora-r 4' '--gradient-accumulation-steps 2 --gradient-checkpointing'; do
    LD_PRELOAD=$tmp/told.so train-step --model "$micro/model" --in "$tmp/four" $options --batch-size 1 --max-steps 5 --save-steps 0 --logging-steps 1 \
        --metrics - --out "$tmp/null" 2>"$tmp/told" || true
    is "$options: nothing large is taken between the first step and the last" \
       "$(sed -n '/"step": 1,/,/"step": 5,/p' "$tmp/told" | grep '^taken' | grep -vc ' 134217728$')" 0
    ok "$options: before them it is seen" grep -q '^taken' "$tmp/told"
done
plan
