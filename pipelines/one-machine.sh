#!/bin/bash
# pipelines/one-machine.sh - fine-tune Whisper on one machine: plain pipes, the front end on all cores
#
# usage: one-machine.sh MODEL MANIFEST DEST [train-step options]
# Run it again after any interruption: it goes on from DEST's newest checkpoint.
set -euo pipefail
model=${1:?usage: one-machine.sh MODEL MANIFEST DEST [train-step options]} manifest=${2:?} dest=${3:?}
shift 3

gcs-fetch --num-train-epochs "${EPOCHS:-3}" --shuffle --seed "${SEED:-1}" "$manifest" |
    fan "audio-decode | mel-features --model '$model' | tokenize --model '$model' --language ${LANGUAGE:-en}" |
    train-step --model "$model" --resume "$dest" --metrics "${METRICS:-/dev/null}" "$@" |
    ckpt-write --save-total-limit 3 "$dest"
