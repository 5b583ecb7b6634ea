#!/bin/bash
# pipelines/features-once.sh - compute features once, then train on them as often as wanted
#
# usage: features-once.sh MODEL MANIFEST FEATURES DEST [train-step options]
# FEATURES that are complete are used as they are; half-written ones are finished.
set -euo pipefail
model=${1:?usage: features-once.sh MODEL MANIFEST FEATURES DEST [train-step options]}
manifest=${2:?} features=${3:?} dest=${4:?}
shift 4

gcs-fetch "$manifest" |
    fan "audio-decode | mel-features --model '$model' | tokenize --model '$model' --language ${LANGUAGE:-en}" |
    record "$features"
replay --num-train-epochs "${EPOCHS:-3}" --shuffle --seed "${SEED:-1}" "$features" |
    train-step --model "$model" --resume "$dest" "$@" |
    ckpt-write --save-total-limit 3 "$dest"
