#!/bin/sh
# tests/filters/generate.t - speech back to text: the golden ids through whole pipelines, and what bad input gives
. "$(dirname "$0")/lib.sh"

case=$golden/whisper-micro
model=$tmp/model
cp -r "$case/trained" "$model"
cp "$case"/model/tokenizer*.json "$case"/model/preprocessor_config.json "$model/"
cat >"$tmp/rows.jsonl" <<'END'
{"id": "a", "audio": "librivox/sense_and_sensibility_01_austen_64kb-0880.wav", "text": "he was not an ill disposed young man"}
{"id": "b", "audio": "cards/002.wav", "text": " four, Queen of clubs.", "language": "en"}
{"id": "lost", "audio": "cards/nothing.wav", "text": "x"}
{"id": "d", "audio": "cards/004.wav", "text": "five five"}
END
gcs-fetch -q --base "$data/speech" "$tmp/rows.jsonl" 2>/dev/null | audio-decode | mel-features --model "$model" \
    >"$tmp/features"

runsh "generate -q --model '$model' --language en <'$tmp/features'"
is 'four rows are done' "$st" 0
is 'and no more' "$(wc -l <"$out" | tr -d ' ')" 4
is 'a clip it was trained on comes back' "$(sed -n 1p "$out")" \
    "$(printf '%s' '{"id": "a", "text": "he was not an ill disposed young man", ' \
       '"reference": "he was not an ill disposed young man", "tokens": [71, 68, 390, 297, 310, 364, 220, ' \
       '373, 274, 271, 79, 329, 292, 291, 77, 70, 275, 282, 400], "language": "en"}')"
like 'a failed record keeps its place and its reason' "$(sed -n 3p "$out")" \
    '^\{"id": "lost", "error": \{"stage": "gcs-fetch", "message": ".*nothing.wav'
cp "$out" "$tmp/eight"

runsh "generate -q --model '$model' --language English --batch-size 1 --threads 1 <'$tmp/features'"
ok 'one row at a time gives the same' cmp "$out" "$tmp/eight"
runsh "generate -q --model '$model' --batch-size 3 <'$tmp/features' |
       sed -n 's/.*\"id\": \"\(.\)\".*\"language\": \"\(..\)\".*/\1 \2/p' | tr '\n' ' '"
is 'the language is detected where the row names none' "$(cat "$out")" 'a en b en d de '
runsh "generate -q --model '$model' --task translate --language de --return-timestamps <'$tmp/features'"
like 'times become segments' "$(sed -n 4p "$out")" \
    '"text": " five five", .*"segments": \[\{"start": 0.00, "end": 0.72, "text": " five"\}, \{"start": 0.76, "end": 1.54, "text": " five"\}\]'
runsh "generate -q --model '$model' --language en --max-new-tokens 3 <'$tmp/features'"
like 'an answer can be cut, and says so' "$(sed -n 1p "$out")" '"tokens": \[71, 68, 390\], "language": "en", "cut": true\}'
runsh "generate -q --model '$model' --language en --max-new-tokens 20 --min-new-tokens 20 --no-repeat-ngram-size 1 \
       <'$tmp/features'"
is 'asked for, no token comes twice and no end too early' \
    "$(sed -n '1s/.*"tokens": \[\(.*\)\], "lang.*/\1/p' "$out" | tr -d " " | tr , "\n" | sort | uniq -c |
       awk '{ n++; twice += $1 > 1; end += $2 == 400 } END { print n, twice, end + 0 }')" "20 0 0"
cp -r "$model" "$tmp/biased"
sed 's/^{/{"sequence_bias": [[[5], -3.0]],/' "$model/generation_config.json" >"$tmp/biased/generation_config.json"
run generate --model "$tmp/biased" --in "$tmp/features"
is 'a setting that would change the answers and is not there is refused' "$st" 100
like 'and named' "$err" "generation_config.json': 'sequence_bias' would change"
runsh "generate --model '$model' --language en --max-errors 0 <'$tmp/features'"
is 'more failed records than allowed are status 1' "$st" 1
like 'and counted' "$err" '1 of 4 samples failed'
runsh "generate -q --model '$case/lora-qv' --base-model '$case/model' --language en --max-new-tokens 2 <'$tmp/features'"
is 'an adapter works on its base' "$st" 0
runsh "generate -q --model '$case/lora-patterns' --base-model '$case/model' --language en --max-new-tokens 8 \
       <'$tmp/features'"
cp "$out" "$tmp/patterns"
lora-merge -q --model "$case/model" "$case/lora-patterns" "$tmp/merged"
runsh "generate -q --model '$tmp/merged' --language en --max-new-tokens 8 <'$tmp/features'"
ok 'one with patterns and weights of its own answers as the merged model does' cmp "$out" "$tmp/patterns"

# beams, and second thoughts
runsh "generate -q --model '$model' --language en --num-beams 4 --batch-size 2 <'$tmp/features'"
is 'beams find what greedy search found' "$(sed -n 1p "$out")" "$(sed -n 1p "$tmp/eight")"
untrained="generate -q --model '$case/model' --language en --max-new-tokens 20"
runsh "$untrained <'$tmp/features'"
cp "$out" "$tmp/loops"
runsh "$untrained --compression-ratio-threshold 1.1 <'$tmp/features'"
ok 'an answer that repeats itself is drawn anew' sh -c "! cmp -s '$out' '$tmp/loops'"
cp "$out" "$tmp/drawn"
runsh "$untrained --compression-ratio-threshold 1.1 --batch-size 1 <'$tmp/features'"
ok 'the same whatever the batch' cmp "$out" "$tmp/drawn"
runsh "generate -q --model '$model' --language en --logprob-threshold -1 --compression-ratio-threshold 2.4 <'$tmp/features'"
ok 'and credible ones stay' cmp "$out" "$tmp/eight"
runsh "generate --model '$model' --num-beams 2 --do-sample <'$tmp/features'"
is 'beams are not drawn' "$st" 100

# generation_config.json says what options do not, and options override it
settings() {
    sed "/\"max_length\"/d; /\"return_timestamps\"/d; s/^{/{ $1,/" "$case/model/generation_config.json" \
        >"$model/generation_config.json"
}
answers() { runsh "generate -q --model '$model' $1 <'$tmp/features'"; [ "$st" = 0 ] || echo "# $err"; cp "$out" "$2"; }
setting() { # KEY-AND-VALUE OPTIONS OVERRIDE
    settings '"max_length": 64'
    answers '' "$tmp/plain"
    answers "$2" "$tmp/asked"
    settings "$1"
    answers '' "$tmp/read"
    answers "$3" "$tmp/overridden"
    ok "$1 is as $2" cmp "$tmp/read" "$tmp/asked"
    ok "and is not without it" sh -c "! cmp -s '$tmp/read' '$tmp/plain'"
    ok "$3 comes first" cmp "$tmp/overridden" "$tmp/plain"
}
setting '"num_beams": 5, "length_penalty": -2' '--num-beams 5 --length-penalty -2' '--num-beams 1'
setting '"max_new_tokens": 4' '--max-new-tokens 4' '--max-new-tokens 64'
setting '"max_length": 4' '--max-new-tokens 4' '--max-new-tokens 64'
setting '"repetition_penalty": 3.5' '--repetition-penalty 3.5' '--repetition-penalty 1'
setting '"return_timestamps": true' '--return-timestamps' '--no-return-timestamps'
setting '"temperature": [0.9], "top_k": 7' '--do-sample --temperature 0.9 --top-k 7' '--temperature 0,1'
setting '"temperature": [0, 0.6], "compression_ratio_threshold": 0.1' \
    '--temperature 0,0.6 --compression-ratio-threshold 0.1' '--compression-ratio-threshold 0'
setting '"logprob_threshold": -1e-3, "no_speech_threshold": 1e-30' \
    '--temperature 0,0 --logprob-threshold -1e-3 --no-speech-threshold 1e-30' \
    '--no-speech-threshold 0 --logprob-threshold 0'
settings '"language": "german"'
answers '' "$tmp/read"
is 'a language of the configuration is for rows that name none' \
    "$(sed -n 's/.*"language": "\(..\)".*/\1/p' "$tmp/read" | tr '\n' ' ')" 'de en de '
answers '--language spanish' "$tmp/read"
is 'an option comes before it, a row before both' "$(sed -n 's/.*"language": "\(..\)".*/\1/p' "$tmp/read" | tr '\n' ' ')" \
    'es en es '
settings '"forced_decoder_ids": [[1, 405], [2, 406]]'
answers '' "$tmp/read"
settings '"language": "es", "task": "translate"'
answers '' "$tmp/asked"
is 'forced ids are a prompt, where nothing names a language' "$(sed -n 4p "$tmp/read")" "$(sed -n 4p "$tmp/asked")"
for bad in '"num_beams": 0' '"temperature": "hot"' '"forced_decoder_ids": [[2, 402]]' '"lang_to_id": {"<|en|>": 999}' \
    '"no_speech_threshold": 0.5' '"task": "sing"'; do
    settings "$bad"
    runsh "generate -q --model '$model' <'$tmp/features'"
    is "refused: $bad" "$st $(printf '%s\n' "$err" | grep -c "generation_config.json")" '100 1'
done
settings '"max_length": 64'

# odd rows
perl "$here/micro-stream.pl" "$case" --nan 1 >"$tmp/nan"
runsh "generate -q --model '$model' --language en --max-new-tokens 2 <'$tmp/nan'"
is 'features that are no numbers are a failed record' \
    "$(grep -c '"error": .*is -*nan' "$out"):$(grep -c '"tokens"' "$out")" 1:2
printf '{"id": "a\\u0000b", "audio": "cards/004.wav", "text": "c\\u0000d"}\n' >"$tmp/rows.jsonl"
runsh "gcs-fetch -q --base '$data/speech' '$tmp/rows.jsonl' | audio-decode | mel-features --model '$model' |
       generate -q --model '$model' --max-new-tokens 2"
like 'a NUL in an id and a text stays' "$(cat "$out")" '^\{"id": "a\\u0000b", .*"reference": "c\\u0000d"'

# what a row says of itself
row() { printf '{"id": "r", "audio": "cards/004.wav", %s}\n' "$1" >"$tmp/rows.jsonl"
        gcs-fetch -q --base "$data/speech" "$tmp/rows.jsonl" | audio-decode | mel-features --model "$model" >"$tmp/row"; }
row '"language": "GERMAN", "task": "translate"'
runsh "generate -q --model '$model' --language en --task transcribe <'$tmp/row'"
cp "$out" "$tmp/said"
row '"x": 1'
runsh "generate -q --model '$model' --language de --task translate <'$tmp/row'"
ok 'a language and a task of its own come before the options' cmp "$out" "$tmp/said"
row '"language": "klingon"'
runsh "generate -q --model '$model' --language en <'$tmp/row'"
like 'an unknown language is a failed record' "$(cat "$out")" "\"error\": .*unknown language 'klingon'"
row '"task": "sing"'
runsh "generate -q --model '$model' <'$tmp/row'"
like 'so is an unknown task' "$(cat "$out")" "task 'sing' is neither transcribe nor translate"
sed 's/"is_multilingual": true/"is_multilingual": false/' "$case/model/generation_config.json" \
    >"$model/generation_config.json"
row '"language": "English"'
runsh "generate -q --model '$model' <'$tmp/row'"
is 'an English-only model may be told English' "$st $(grep -c error "$out")" '0 0'
row '"language": "de"'
runsh "generate -q --model '$model' <'$tmp/row'"
like 'and nothing else' "$(cat "$out")" "language 'de': this model knows English only"
settings '"max_length": 64'

# what cannot be
runsh "generate <'$tmp/features'"
is 'a model is needed' "$st" 100
runsh "generate --model '$model' --language klingon <'$tmp/features'"
is 'an unknown language is refused' "$st" 100
like 'by name' "$err" "unknown language 'klingon'"
runsh "gcs-fetch -q --base '$data/speech' '$tmp/rows.jsonl' 2>/dev/null | audio-decode |
       mel-features --feature-size 128 | generate --model '$model'"
is 'features of 128 bands are refused' "$st" 100
like 'with both numbers' "$err" 'features of 128 mel bands, .* takes 80'
runsh "gcs-fetch -q --base '$data/speech' '$tmp/rows.jsonl' 2>/dev/null | generate -q --model '$model' --max-errors 100%"
like 'records without features fail one by one' "$(sed -n 1p "$out")" \
    '"error": \{"stage": "generate", "message": "no .input_features'
runsh "head -c 2000 '$tmp/features' | generate -q --model '$model'"
is 'a stream cut short may be whole the next time' "$st" 111
runsh "generate -q --model '$model' --out '$tmp/no/such/place' <'$tmp/features'"
is 'an output that cannot be written is status 100' "$st" 100
full "generate -q --model '$model' <'$tmp/features'"
plan
