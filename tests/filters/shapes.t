#!/bin/sh
# tests/filters/shapes.t - every kind of Whisper: whisper-tiny at its true size, the other shapes narrow,
# through the whole pipeline
. "$(dirname "$0")/lib.sh"
speech=$data/speech
for f in cards/cards.transcription librivox/transcription; do
    sed -n "s|^<s> \(.*[^ ]\) *</s> (\(.*\))|{\"id\": \"\2\", \"audio\": \"${f%/*}/\2.wav\", \"text\": \" \1\", \"language\": \"en\"}|p" "$speech/$f"
done >"$tmp/rows.jsonl"

# shape NAME TOKENIZER KEY=VALUE,...: a random model directory $tmp/NAME, as a checkpoint of this kind is laid out
shape() {
    mkdir "$tmp/$1.parts"
    xz -dc "$golden/tokenizer-whisper/$2/tokenizer.json.xz" >"$tmp/$1.parts/tokenizer.json"
    cp "$golden/tokenizer-whisper/$2/tokenizer_config.json" "$tmp/$1.parts/"
    perl -MJSON::PP -e '
        my ($ids, $micro, $to, $kind, @set) = @ARGV;
        sub slurp { local $/; open my $f, "<", $_[0] or die; decode_json(<$f>) }
        my ($i, $c) = (slurp($ids), slurp("$micro/config.json"));
        $c->{$_} = $i->{eot} for qw(bos_token_id eos_token_id pad_token_id);
        $c->{decoder_start_token_id} = $i->{sot}; $c->{vocab_size} = $i->{vocab_size}; $c->{init_std} = 0.05;
        for (map { split /,/ } @set) { my ($k, $v) = split /=/; $c->{$k} = $v + 0 }
        my %g = (eos_token_id => $i->{eot}, decoder_start_token_id => $i->{sot}, pad_token_id => $i->{eot},
                 no_timestamps_token_id => $i->{notimestamps}, prev_sot_token_id => $i->{startofprev},
                 suppress_tokens => $i->{suppress_tokens}, begin_suppress_tokens => $i->{begin_suppress_tokens},
                 max_length => 448, max_initial_timestamp_index => 50,
                 is_multilingual => $kind eq "english" ? JSON::PP::false : JSON::PP::true);
        unless ($kind eq "english") {
            $g{lang_to_id}{"<|$_|>"} = $i->{languages}{$_} for keys %{$i->{languages}};
            $g{task_to_id} = { transcribe => $i->{transcribe}, translate => $i->{translate} };
        }
        my %p = (feature_extractor_type => "WhisperFeatureExtractor", feature_size => $c->{num_mel_bins},
                 sampling_rate => 16000, hop_length => 160, n_fft => 400,
                 chunk_length => $c->{max_source_positions} / 50);
        for (["config", $c], ["generation_config", \%g], ["preprocessor_config", \%p]) {
            open my $o, ">", "$to/$_->[0].json" or die;
            print $o encode_json($_->[1]);
        }
    ' "$golden/tokenizer-whisper/$2/ids.json" "$golden/whisper-micro/model" "$tmp/$1.parts" "$2" "$3"
    run model-init -q --seed 5 "$tmp/$1.parts" "$tmp/$1"
    [ "$st" = 0 ] || echo "# $1: $err"
}
# ready NAME [LIMIT]: the shipped speech, ready for that model
ready() {
    gcs-fetch -q --base "$speech" --limit "${2:-4}" --num-train-epochs "${3:-1}" "$tmp/rows.jsonl" | audio-decode -q |
        mel-features -q --model "$tmp/$1" --over-long cut 2>/dev/null | tokenize -q --model "$tmp/$1"
}
losses() { sed -n 's/.*"loss": \([0-9.]*\).*/\1/p' "$1"; }
falls() { losses "$1" | awk 'NR == 1 { a = $1 } { b = $1 } END { print NR, (b < 0.9 * a ? "falls" : "stays") }'; }

# --- narrow, with the layers, bands and vocabularies of their kind ---
narrow=max_source_positions=150,max_target_positions=448,d_model=64,encoder_ffn_dim=128,decoder_ffn_dim=128
n=0
while read -r name kind set prefix; do
    shape "$name" "$kind" "$narrow,$set"
    ready "$name" 4 5 >"$tmp/in"
    tokenize --show --model "$tmp/$name" -i "$tmp/in" -q >"$tmp/shown" 2>/dev/null
    like "$name: its prompt" "$(sed -n 1p "$tmp/shown")" "001: <.startoftranscript.>⟦$prefix<.notimestamps.> ten of clubs"
    runsh "train-step -q --model '$tmp/$name' --in '$tmp/in' --batch-size 4 --learning-rate 3e-3 --logging-steps 1 \
           --metrics '$tmp/$name.m' | ckpt-write -q '$tmp/$name.out'"
    is "$name: the loss falls" "$st $err $(falls "$tmp/$name.m")" '0  5 falls'
    runsh "generate -q --model '$tmp/$name.out/latest' --max-new-tokens 8 --in '$tmp/in' --language english \
           --return-timestamps | head -4 >'$tmp/said'"
    is "$name: it answers, with times" "$st $(grep -c '"segments": \[{"start": ' "$tmp/said")" '0 4'
    runsh "train-step -q --model '$tmp/$name' --in '$tmp/in' --batch-size 4 --lora-r 4 --lora-target-modules q_proj,fc2 \
           --dtype bfloat16 --logging-steps 1 --metrics '$tmp/$name.l' | ckpt-write -q '$tmp/$name.lora'
           lora-merge -q '$tmp/$name.lora/latest' '$tmp/$name.merged'"
    is "$name: an adapter trains in bfloat16 and is merged" \
        "$st $err $(losses "$tmp/$name.l" | wc -l | tr -d ' ') $(ls "$tmp/$name.merged" | grep -c '^model.safetensors')" \
        '0  5 1'
    n=$((n + 1))
done <<'END'
english english encoder_layers=2,decoder_layers=2,num_mel_bins=80
distil multilingual encoder_layers=6,decoder_layers=2,num_mel_bins=80 <.en.><.transcribe.>
large-v3 v3 encoder_layers=3,decoder_layers=3,num_mel_bins=128,encoder_attention_heads=8,decoder_attention_heads=8 <.en.><.transcribe.>
turbo v3 encoder_layers=6,decoder_layers=4,num_mel_bins=128 <.en.><.transcribe.>
END
is 'four kinds' $n 4
printf '{"id": "a", "audio": "cards/001.wav", "text": "yue", "language": "cantonese"}\n' >"$tmp/yue.jsonl"
gcs-fetch -q --base "$speech" "$tmp/yue.jsonl" >"$tmp/yue"
like 'v3 knows Cantonese' "$(tokenize --show --model "$tmp/large-v3" -i "$tmp/yue")" '<.yue.><.transcribe.>'
like 'v2 does not' "$(tokenize --show --model "$tmp/distil" -i "$tmp/yue")" "'cantonese' is not one of this model"

# --- whisper-tiny at its true size ---
if [ -n "$sanitized" ]; then
    skip 'whisper-tiny' 'its true size is for the round without sanitizers'
    plan
    exit 0
fi
tiny=d_model=384,encoder_layers=4,decoder_layers=4,encoder_attention_heads=6,decoder_attention_heads=6
tiny=$tiny,encoder_ffn_dim=1536,decoder_ffn_dim=1536,num_mel_bins=80,max_source_positions=1500,max_target_positions=448
shape tiny multilingual $tiny
ready tiny 6 >"$tmp/in"
is 'whisper-tiny: six clips of 30 s are ready' "$(stream-show "$tmp/in" | grep -c '"input_features": {"shape": \[80, ')" 6
rm -f "$tmp/m"
run train-step --model "$tmp/tiny" --in "$tmp/in" --batch-size 3 --max-steps 2 --learning-rate 1e-3 \
    --lr-scheduler-type constant --logging-steps 1 --metrics "$tmp/m" --out "$tmp/ck"
is 'whisper-tiny: it trains on the shipped speech' "$st $(falls "$tmp/m" | cut -c1)" '0 2'
is 'whisper-tiny: and learns' \
    "$(losses "$tmp/m" | awk 'NR == 1 { a = $1 } { b = $1 } END { print (b < a && a < 13 ? "learns" : a " " b) }')" learns
ckpt-write -q --in "$tmp/ck" "$tmp/tiny.out"
is 'whisper-tiny: its checkpoint has the size of 37.76 million weights' \
    "$(($(wc -c <"$tmp/tiny.out/latest/model.safetensors") / 1000000))" 151
planned=$(printf '%s\n' "$err" | sed -n 's/.*: \([0-9]*\) MB with 3 rows.*/\1/p')
peak=$(sed -n 's/.*"peak_memory": \([0-9]*\)[0-9]\{6\}[,}].*/\1/p' "$tmp/m" | tail -1)
ok "whisper-tiny: the memory planned ($planned MB) is within 10 % of the peak ($peak MB)" \
   [ "$((planned * 10))" -ge "$((peak * 9))" -a "$((planned * 10))" -le "$((peak * 11))" ]
plan
