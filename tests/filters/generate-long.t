#!/bin/sh
# tests/filters/generate-long.t - long sound window by window: the ids, times and silences of transformers
# (tests/oracle/long.py)
. "$(dirname "$0")/lib.sh"

case=$golden/whisper-micro
for m in trained model; do
    mkdir -p "$tmp/$m"
    cp "$case"/model/*.json "$tmp/$m/"
    cp "$case/$m"/* "$tmp/$m/"
done

# sound N: the clips of the Nth case, one after another, as a WAV file
long=$golden/whisper-long/long.json
field() { sed -n "$((n + 1))s/.*\"$1\": \([^,}]*\).*/\1/p" "$long" | sed 's/"//g'; }
le4() {
    printf "$(printf '\\%03o\\%03o\\%03o\\%03o' \
              $(($1 % 256)) $(($1 / 256 % 256)) $(($1 / 65536 % 256)) $(($1 / 16777216)))"
}
cases=$(grep -c '"weights"' "$long")
n=1
while [ $n -le "$cases" ]; do
    for clip in $(sed -n "$((n + 1))s/.*\"clips\": \[\([^]]*\)\].*/\1/p" "$long" | tr -d '",'); do
        tail -c +45 "$data/speech/$clip"
    done >"$tmp/pcm"
    bytes=$(wc -c <"$tmp/pcm")
    { printf RIFF; le4 $((bytes + 36)); printf 'WAVEfmt \020\000\000\000\001\000\001\000'; le4 16000; le4 32000
      printf '\002\000\020\000data'; le4 "$bytes"; cat "$tmp/pcm"; } >"$tmp/$n.wav"
    is "case $n: as many samples" $((bytes / 2)) "$(field samples)"
    n=$((n + 1))
done

# features N...: of these sounds
features() {
    for i in "$@"; do printf '{"id": "%s", "audio": "%s.wav"}\n' "$i" "$i"; done >"$tmp/rows.jsonl"
    gcs-fetch -q --base "$tmp" "$tmp/rows.jsonl" | audio-decode -q | mel-features -q --model "$tmp/trained" --over-long whole
}
tokens() { sed -n 's/.*"tokens": \[\([0-9, ]*\)\].*/\1/p'; }
spans() { perl -ne 'printf "%.2f-%.2f ", $1, $2 while /"start": ([0-9.]+), "end": ([0-9.]+)/g'; }
n=1
while [ $n -le "$cases" ]; do
    options="--language $(field language) --num-beams $(field num_beams)"
    [ "$(field condition_on_prev_tokens)" = false ] || options="$options --condition-on-prev-tokens"
    [ "$(field max_new_tokens)" = null ] || options="$options --max-new-tokens $(field max_new_tokens)"
    [ "$(field no_speech_threshold)" = null ] ||
        options="$options --no-speech-threshold $(field no_speech_threshold) --logprob-threshold $(field logprob_threshold)"
    features $n >"$tmp/features"
    runsh "generate -q --model '$tmp/$(field weights)' --return-timestamps $options <'$tmp/features'"
    want=$(sed -n "$((n + 1))s/.*\"tokens\": \(\[.*\]\), \"segments.*/\"tokens\": \1/p" "$long" | tokens)
    is "case $n: the tokens of transformers" "$(tokens <"$out" | sed 's/, 400$//')" "$want"
    is "case $n: and its times" "$(spans <"$out")" "$(sed -n "$((n + 1))p" "$long" | spans)"
    n=$((n + 1))
done

# in a batch, with a short one between: unless times are asked for, that stays as it was
features 1 4 2 3 >"$tmp/features"
runsh "generate -q --model '$tmp/trained' --language de --batch-size 3 <'$tmp/features'"
cp "$out" "$tmp/batched"
is 'a batch of long and short sounds is done' "$st" 0
is 'what is long goes on window by window' "$(sed -n 1p "$out" | tokens | sed 's/, 400$//')" \
    "$(sed -n '2s/}\], "segments.*//; 2s/, "segments.*//p' "$long" | tokens)"
like 'in the order of the stream' "$(sed 's/^{"id": "\(.\)".*/\1/' "$out" | tr -d '\n')" '^1423$'
ok 'what is short has no times' sh -c "sed -n 2p '$out' | grep -qv segments"
runsh "generate -q --model '$tmp/trained' --language de --batch-size 1 <'$tmp/features'"
ok 'one by one the same' cmp "$out" "$tmp/batched"
runsh "generate -q --model '$tmp/trained' --batch-size 3 <'$tmp/features'"
is 'the language is detected once' "$(grep -c '"language": ' "$out")" 4
drawn="generate -q --model '$tmp/trained' --language de --logprob-threshold -0.05 --compression-ratio-threshold 1.1"
runsh "$drawn --batch-size 1 <'$tmp/features'"
cp "$out" "$tmp/drawn"
runsh "$drawn <'$tmp/features'"
ok 'windows that are drawn anew are the same in any batch' cmp "$out" "$tmp/drawn"
condition="generate -q --model '$tmp/model' --language de --max-new-tokens 12 --condition-on-prev-tokens"
features 1 4 2 3 6 >"$tmp/five"
runsh "$condition --batch-size 1 <'$tmp/five'"
cp "$out" "$tmp/one"
runsh "$condition --batch-size 5 <'$tmp/five'"
ok 'windows that hear what was said before are the same in any batch' cmp "$out" "$tmp/one"
cp -r "$tmp/model" "$tmp/configured"
change 's/^{/{ "condition_on_prev_tokens": true,/' "$tmp/configured/generation_config.json"
said="generate -q --model '$tmp/configured' --language de --max-new-tokens 12"
runsh "$said <'$tmp/five'"
ok 'so they do where the configuration says it' cmp "$out" "$tmp/one"
runsh "generate -q --model '$tmp/model' --language de --max-new-tokens 12 <'$tmp/five'"
cp "$out" "$tmp/deaf"
runsh "$said --no-condition-on-prev-tokens <'$tmp/five'"
ok 'unless an option forbids it' cmp "$out" "$tmp/deaf"
runsh "$said --condition-on-prev-tokens --no-condition-on-prev-tokens <'$tmp/five'"
is 'both are status 100' "$st $err" '100 generate: --condition-on-prev-tokens and --no-condition-on-prev-tokens: which?'
again='--compression-ratio-threshold 0.01'      # every answer is drawn anew
for t in 0.4 0.6; do
    runsh "$condition --temperature 0,$t $again <'$tmp/five'"
    cp "$out" "$tmp/hears-$t"
    runsh "$(printf %s "$condition" | sed 's/--condition.*//') --temperature 0,$t $again <'$tmp/five'"
    cp "$out" "$tmp/deaf-$t"
done
ok 'they hear what was drawn at 0.4' sh -c "! cmp -s '$tmp/hears-0.4' '$tmp/deaf-0.4'"
ok 'but not what was drawn at 0.6' cmp "$tmp/hears-0.6" "$tmp/deaf-0.6"
runsh "generate --model '$tmp/trained' --no-speech-threshold 0.6 <'$tmp/features'"
is 'silence is told with --logprob-threshold only' "$st" 100
like 'as is said' "$err" 'no-speech-threshold needs --logprob-threshold'

printf '{"id": "long", "audio": "1.wav", "text": "five", "language": "de"}\n' >"$tmp/rows.jsonl"
gcs-fetch -q --base "$tmp" "$tmp/rows.jsonl" | audio-decode -q | mel-features -q --model "$tmp/trained" --over-long whole |
    tokenize -q --model "$tmp/trained" >"$tmp/row"
runsh "train-step --model '$tmp/trained' --max-steps 1 --max-errors 0 <'$tmp/row' >'$tmp/steps'"
is 'the trainer does not take what is over-long' "$((st > 0))" 1
like 'and says why' "$err" '805 frames; this model takes 300: mel-features --over-long whole is for generate only'
plan
