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
for options in '--dtype float32' '--dtype bfloat16' '--lora-r 4' \
    '--gradient-accumulation-steps 2 --gradient-checkpointing'; do
    LD_PRELOAD=$tmp/told.so train-step --model "$micro/model" --in "$tmp/four" $options --batch-size 1 --max-steps 5 \
        --save-steps 0 --logging-steps 1 \
        --metrics - --out "$tmp/null" 2>"$tmp/told" || true
    is "$options: nothing large is taken between the first step and the last" \
       "$(sed -n '/"step": 1,/,/"step": 5,/p' "$tmp/told" | grep '^taken' | grep -vc ' 134217728$')" 0
    ok "$options: before them it is seen" grep -q '^taken' "$tmp/told"
done

# --- the plan, against what was used ---
size=d_model=512,encoder_attention_heads=8,decoder_attention_heads=8,encoder_ffn_dim=2048,decoder_ffn_dim=2048
model-init -q "$micro/model" "$tmp/larger" --set $size,encoder_layers=4,decoder_layers=4
perl "$here/micro-stream.pl" "$micro" --repeat 3 >"$tmp/nine"
for options in '--dtype float32' '--dtype bfloat16' '--dtype bfloat16 --freeze encoder' '--dtype float32 --lora-r 8'; do
    train-step --model "$tmp/larger" --in "$tmp/nine" $options --batch-size 9 --logging-steps 1 --metrics - \
        --out "$tmp/null" 2>"$tmp/told" || true
    planned=$(sed -n 's/.*: \([0-9]*\) MB with 9 rows.*/\1/p' "$tmp/told")
    peak=$(sed -n 's/.*"peak_memory": \([0-9]*\)[0-9]\{6\}[,}].*/\1/p' "$tmp/told")
    ok "$options: the memory planned ($planned MB) is within 10 % of the peak ($peak MB)" \
       [ $((planned * 10)) -ge $((peak * 9)) -a $((planned * 10)) -le $((peak * 11)) ]
done
plan
