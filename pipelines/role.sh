#!/bin/bash
# pipelines/role.sh - one role of a training on several hosts; systemd, Slurm and Kubernetes start it
#
# usage: role.sh head|worker|trainer, with in the environment (settings.example has them all):
#   MODEL MANIFEST DEST  as everywhere          EPOCHS SEED LANGUAGE  of the run
#   HEAD TRAINER         host:port of each      KEYS   directory with ROLE.key and peers (keygen);
#                                               without it only loopback works
# Start them in any order, as many workers as there are hosts; kill any of them at
# any time and start it again: the weights do not change.
set -euo pipefail
role=${1:?usage: role.sh head|worker|trainer}
: "${MODEL:?}" "${HEAD:?host:port}" "${TRAINER:?host:port}"
keys() { if [ -n "${KEYS:-}" ]; then echo "--curve-key $KEYS/$1.key --curve-peers $KEYS/peers"; else echo --insecure; fi; }
bind() { if [ -n "${KEYS:-}" ]; then echo "@tcp://*:${1##*:}"; else echo "@tcp://$1"; fi; }

case $role in
head)
    # shellcheck disable=SC2046  # two options, two words each
    exec gcs-fetch --num-train-epochs "${EPOCHS:-3}" --shuffle --seed "${SEED:-1}" \
        --out "$(bind "$HEAD")" $(keys head) "${MANIFEST:?}" ;;
worker)
    # shellcheck disable=SC2046
    exec fan ${JOBS:+-j "$JOBS"} --in "tcp://$HEAD" --out "tcp://$TRAINER" $(keys worker) \
        "audio-decode | mel-features --model '$MODEL' | tokenize --model '$MODEL' --language ${LANGUAGE:-en}" ;;
trainer)
    # shellcheck disable=SC2046,SC2086
    train-step --in "$(bind "$TRAINER")" --head "tcp://$HEAD" $(keys tail) \
        --model "$MODEL" --resume "${DEST:?}" ${TRAIN_OPTIONS:-} |
        ckpt-write --save-total-limit 3 "$DEST" ;;
*)
    echo "role.sh: '$role' is none of head, worker, trainer" >&2
    exit 100 ;;
esac
