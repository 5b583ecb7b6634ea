#!/bin/sh
# tests/filters/river.t - the six programs joined: from sound files to PyTorch's losses, and what goes wrong on the way
. "$(dirname "$0")/lib.sh"
micro=$golden/whisper-micro
m=$micro/model speech=$data/speech

# the golden batch, from its sound files
cat >"$tmp/golden.jsonl" <<J
{"audio": "$speech/librivox/sense_and_sensibility_01_austen_64kb-0880.wav", "text": "he was not an ill disposed young man", "language": "en"}
{"audio": "$speech/cards/002.wav", "text": " four, Queen of clubs.", "language": "en"}
{"audio": "$speech/cards/004.wav", "text": "<|0.00|> five<|0.72|><|0.76|> five<|1.54|>", "language": "de", "task": "translate", "timestamps": true}
J
ready="audio-decode -q | mel-features -q --model $m | tokenize -q --model $m"
hyper="--model $m --batch-size 3 --learning-rate 1e-3 --warmup-steps 3 --weight-decay 0.01 --logging-steps 1"
runsh "gcs-fetch -q --num-train-epochs 10 $tmp/golden.jsonl | $ready | train-step -q $hyper --metrics $tmp/m |
       ckpt-write -q $tmp/plain"
is 'six programs train' "$st $err" '0 '
is 'to the losses of PyTorch' "$(perl -MJSON::PP -e '
    local $/; my $want = decode_json(scalar <STDIN>)->{steps}; my @got = map { decode_json($_) } split /\n/, <>;
    my $worst = 0; for (0 .. 9) { my $d = abs($got[$_]{loss} - $want->[$_]{loss}); $worst = $d unless $d <= $worst }
    print $worst <= 2e-5 ? "near" : "off by $worst"' "$tmp/m" <"$micro/adamw.json")" near
runsh "gcs-fetch -q --num-train-epochs 10 --unit 2 $tmp/golden.jsonl | fan -q -j 3 '$ready' |
       train-step -q $hyper | ckpt-write -q $tmp/fan"
ok 'three copies of the middle give the same bits' cmp "$tmp/plain/latest/model.safetensors" \
    "$tmp/fan/latest/model.safetensors"
gcs-fetch -q "$tmp/golden.jsonl" | sh -c "$ready" >"$tmp/once"
runsh "replay -q --num-train-epochs 10 $tmp/once | train-step -q $hyper | ckpt-write -q $tmp/replay"
ok 'so does a recorded stream, replayed ten times' cmp "$tmp/plain/latest/model.safetensors" \
    "$tmp/replay/latest/model.safetensors"

# --- broken rows among good ones ---
echo 'this is text' >"$tmp/text.wav"
head -c 3000 "$speech/cards/003.wav" >"$tmp/cut.wav"
head -c 20 "$speech/cards/003.wav" >"$tmp/head.wav"
long=$(printf 'many words %.0s' $(seq 100))
cat >"$tmp/broken.jsonl" <<J
{"id": "good", "audio": "$speech/cards/003.wav", "text": "seven of clubs", "language": "en"}
{"id": "text", "audio": "text.wav", "text": "a"}
{"id": "cut", "audio": "cut.wav", "text": "seven", "language": "en"}
{"id": "head", "audio": "head.wav", "text": "a"}
{"id": "missing", "audio": "nowhere.wav", "text": "a"}
{"id": "directory", "audio": "$speech", "text": "a"}
{"id": "tongue", "audio": "$speech/cards/003.wav", "text": "a", "language": "klingon"}
{"id": "long", "audio": "$speech/cards/003.wav", "text": "$long", "language": "en"}
{"id": "two\\nlines", "audio": "$speech/cards/001.wav", "text": "ten of clubs", "language": "en"}
{"id": "broken",
J
runsh "gcs-fetch -q $tmp/broken.jsonl | $ready >$tmp/broken"
is 'bad rows do not end the pipeline' "$st" 0
stream-show -q -i "$tmp/broken" >"$tmp/rows"
is 'each comes out once' "$(wc -l <"$tmp/rows" | tr -d ' ')" 10
for row in text cut head missing directory tongue long; do
    like "'$row' is an error record" "$(grep "\"id\": \"$row\"" "$tmp/rows")" \
        '"error": \{"stage": "[a-z-]+", "message": "[^"]+'
done
like 'so is a line of the manifest that is broken, named by its number' "$(tail -n 1 "$tmp/rows")" \
    '"id": "[^"]*broken.jsonl:10".*"error"'
runsh "train-step --model $m --in $tmp/broken --batch-size 8 --metrics $tmp/m2 --out $tmp/null"
is 'the good ones are trained on, the bad ones counted' "$st $(grep -o '"samples": [0-9]*' "$tmp/m2")" '0 "samples": 2'
run train-step -q --model "$m" --in "$tmp/broken" --max-errors 10% --out "$tmp/null"
is 'a share allows ten at least' "$st" 0
run train-step -q --model "$m" --in "$tmp/broken" --max-errors 6 --out "$tmp/null"
is 'a number does not' "$st" 1
printf '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n' >"$tmp/twice.jsonl"
runsh "gcs-fetch -q $tmp/twice.jsonl | $ready | train-step -q $hyper | ckpt-write -q $tmp/none"
is 'a manifest that is refused leaves no checkpoint' "$(ls "$tmp/none" 2>/dev/null)" ''

# --- samples for another model ---
rm -rf "$tmp/other"; cp -r "$m" "$tmp/other"; chmod -R u+w "$tmp/other"
sed -i.old 's/"feature_size": 80/"feature_size": 128/' "$tmp/other/preprocessor_config.json"
for_other="gcs-fetch -q $tmp/golden.jsonl | audio-decode -q | mel-features -q --model $tmp/other | tokenize -q --model $m"
runsh "$for_other >$tmp/mels"
run train-step -q --model "$m" --in "$tmp/mels" --out "$tmp/null"
is 'features of 128 bands are refused' "$st" 100
like 'naming the setting' "$err" 'mel-features had feature_size 128, but .* wants 80'
sed -i.old 's/"feature_size": 128/"feature_size": 80/; s/"hop_length": 160/"hop_length": 200/' \
    "$tmp/other/preprocessor_config.json"
runsh "$for_other >$tmp/hop"
run train-step -q --model "$m" --in "$tmp/hop" --out "$tmp/null"
like 'so is another hop' "$st $err" '^100 .*mel-features had hop_length 200, but .* wants 160'
rm -rf "$tmp/other"; cp -r "$m" "$tmp/other"; chmod -R u+w "$tmp/other"
perl -MJSON::PP -e 'local $/; open my $f, "<", $ARGV[0]; my $t = decode_json(<$f>); my $v = $t->{model}{vocab};
    my ($x, $y) = grep { $v->{$_} < 2 } keys %$v; @$v{$x, $y} = @$v{$y, $x};
    open my $g, ">", $ARGV[0]; print $g encode_json($t)' "$tmp/other/tokenizer.json"
run train-step -q --model "$tmp/other" --in "$tmp/once" --out "$tmp/null"
like 'so is another tokenizer' "$st $err" '^100 .*tokenize had tokenizer [0-9a-f]{16}, but .* wants [0-9a-f]{16}'
plan
