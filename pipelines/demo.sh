#!/bin/sh
# pipelines/demo.sh - the whole river once: a small Whisper learns the speech in tests/data, then says it back
#
# make demo runs it; PATH must find the programs.  Nothing is downloaded.  It
# leaves its work in build/demo (or $1): look at out/latest, metrics.jsonl, answers.jsonl.
set -eu
cd "$(dirname "$0")/.."
work=${1:-build/demo}
speech=$PWD/tests/data/speech
rm -rf "$work"
mkdir -p "$work"

# The manifest, from the transcripts that lie beside the sound:  <s> four queen of clubs </s> (002)
for set in librivox:librivox/transcription cards:cards/cards.transcription; do
    sed -n 's/^<s> *\(.*[^ ]\) *<\/s> (\(.*\))$/\2 \1/p' "$speech/${set#*:}" |
        while read -r name text; do
            printf '{"id": "%s", "audio": "%s/%s/%s.wav", "text": "%s", "language": "en"}\n' \
                 "$name" "$speech" "${set%%:*}" "$name" "$text"
        done
done >"$work/train.jsonl"
echo "demo: $(wc -l <"$work/train.jsonl" | tr -d ' ') clips of real speech in $work/train.jsonl"

# A model made on the spot: Whisper's architecture, random weights, 8 s of sound, a tokenizer of 563 ids.
tiny=tests/golden/whisper-micro/model
mkdir "$work/files"
cp $tiny/tokenizer.json $tiny/tokenizer_config.json $tiny/generation_config.json "$work/files/"
sed 's/"chunk_length": 3/"chunk_length": 8/
     s/"n_samples": 48000/"n_samples": 128000/
     s/"nb_max_frames": 300/"nb_max_frames": 800/' \
    $tiny/preprocessor_config.json >"$work/files/preprocessor_config.json"
sed -i.old 's/"max_length": 64/"max_length": 128/' "$work/files/generation_config.json"
model=$work/model
model-init --seed 1 --tokenizer "$work/files" $tiny/config.json "$model" \
    --set d_model=128,encoder_ffn_dim=512,decoder_ffn_dim=512,max_source_positions=400,max_target_positions=128

echo "demo: training"
gcs-fetch -q --num-train-epochs "${EPOCHS:-100}" "$work/train.jsonl" |
    audio-decode -q |
    mel-features -q --model "$model" |
    tokenize -q --model "$model" |
    train-step --model "$model" --batch-size 10 --learning-rate 2e-3 --warmup-steps 20 --lr-scheduler-type cosine \
        --logging-steps 10 --metrics "$work/metrics.jsonl" |
    ckpt-write --save-total-limit 2 "$work/out"

echo "demo: the loss of a token, step by step"
sed -n 's/.*"step": \([0-9]*\),.*"loss": \([0-9]*[.]*[0-9]\{0,3\}\).*/  step \1  loss \2/p' "$work/metrics.jsonl"

echo "demo: transcribing the same clips with $work/out/latest"
gcs-fetch -q "$work/train.jsonl" |
    audio-decode -q |
    mel-features -q --model "$work/out/latest" |
    generate --model "$work/out/latest" >"$work/answers.jsonl"
wer "$work/answers.jsonl"
