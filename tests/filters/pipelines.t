#!/bin/sh
# tests/filters/pipelines.t - the ready pipelines do what they say, and their own tools accept them
. "$(dirname "$0")/lib.sh"
model=$golden/whisper-micro/model
cards >"$tmp/train.jsonl"
options='--batch-size 2 --learning-rate 1e-3 --save-steps 3'

for f in "$top"/pipelines/*.sh "$top"/pipelines/slurm/*; do ok "${f##*/} is a script that bash reads" bash -n "$f"; done

export EPOCHS=2
# Plain pipes, one process a stage: what all others must equal.
runsh "gcs-fetch --num-train-epochs 2 --shuffle --seed 1 '$tmp/train.jsonl' | audio-decode |
       mel-features --model $model --over-long cut |
    tokenize --model $model --language en | train-step --model $model $options | ckpt-write '$tmp/plain'"
is 'a plain pipe trains' "$st" 0
want=$(digest <"$tmp/plain/latest/model.safetensors")

run bash "$top/pipelines/one-machine.sh" "$model" "$tmp/train.jsonl" "$tmp/one" $options
is 'one-machine.sh trains' "$st" 0
is 'to the bits of the plain pipe' "$(digest <"$tmp/one/latest/model.safetensors")" "$want"
run bash "$top/pipelines/one-machine.sh" "$model" "$tmp/train.jsonl" "$tmp/one" $options
is 'and when it is done already, it says so and leaves with 0' "$st" 0

run bash "$top/pipelines/features-once.sh" "$model" "$tmp/train.jsonl" "$tmp/features" "$tmp/twice" $options
is 'features-once.sh trains' "$st" 0
is 'to the same bits from the recorded features' "$(digest <"$tmp/twice/latest/model.safetensors")" "$want"

# Three processes on this machine, as on three hosts; --insecure, since all is loopback.
roles() {
    for role in head worker trainer; do
        MODEL=$model MANIFEST=$tmp/train.jsonl DEST=$tmp/hosts SEED=1 JOBS=2 \
        HEAD=127.0.0.1:$port TRAINER=127.0.0.1:$((port + 1)) \
            TRAIN_OPTIONS="$options" $within 600 bash "$top/pipelines/role.sh" $role 2>"$tmp/$role.err" &
        eval "$role=$!"
    done
    st=0; wait "$trainer" || st=$?
}
port=$(ports 4)
roles
is 'three roles on sockets train' "$st$(grep -v 'complete\|trained\|memory\|no checkpoint' "$tmp/trainer.err")" 0
is 'to the same bits' "$(digest <"$tmp/hosts/latest/model.safetensors")" "$want"
st=0; wait "$head" && wait "$worker" || st=$?
is 'and source and workers leave by themselves' "$st" 0
st=0
MODEL=$model DEST=$tmp/hosts HEAD=127.0.0.1:$port TRAINER=127.0.0.1:$((port + 1)) TRAIN_OPTIONS="$options" \
    $within 600 bash "$top/pipelines/role.sh" trainer 2>"$tmp/again.err" || st=$?
is 'a finished trainer started again leaves with 0, though nobody is there' "$st" 0
like 'and says why' "$(cat "$tmp/again.err")" 'is finished: nothing to do'

run bash "$top/pipelines/role.sh" nobody
is 'an unknown role or missing settings are refused' "$([ "$st" -ne 0 ] && echo refused)" refused

unit=$top/pipelines/systemd/penstock@.service
if command -v systemd-analyze >/dev/null 2>&1; then
    mkdir -p "$tmp/units" && cp "$unit" "$tmp/units/penstock@trainer.service"
    run systemd-analyze verify --man=no "$tmp/units/penstock@trainer.service"
    is 'systemd accepts the unit' \
        "$st$(printf '%s' "$err" | grep -i penstock | grep -v 'Failed to prepare\|network-online')" 0
else
    skip 'systemd accepts the unit' 'no systemd-analyze here'
fi

manifest=$top/pipelines/kubernetes/penstock.yaml
if command -v kubernetes-validate >/dev/null 2>&1; then      # of PyPI; the schemas come with it
    run kubernetes-validate --strict "$manifest"
    is 'Kubernetes accepts the manifests, and knows each of their keys' "$st" 0
    is 'all five of them' "$(printf '%s\n' "$err" | cat - "$out" | grep -c 'passed for resource')" 5
else
    skip 'Kubernetes accepts the manifests' 'no kubernetes-validate here (pip install kubernetes-validate)'
fi

. "$here/slurm-cluster.sh"
if slurm_can; then
    slurm_up "$tmp/slurm" || echo '# the nodes are not idle'
    run sbatch --test-only "$top/pipelines/slurm/penstock.sbatch"
    like 'Slurm accepts the batch file' "$st $err" '^0 .*to start at .* using 288 processors'
    mkdir "$tmp/keys"
    for r in head tail worker; do keygen --role $r "$tmp/keys/$r.key" >>"$tmp/keys/peers"; done
    cd "$tmp"
    run env MODEL="$model" MANIFEST="$tmp/train.jsonl" DEST="$tmp/job" KEYS="$tmp/keys" SEED=1 JOBS=1 \
        HEAD_PORT=$((port + 2)) TRAINER_PORT=$((port + 3)) \
        PENSTOCK_PIPELINES="$top/pipelines" TRAIN_OPTIONS="$options" $within 600 sbatch \
        --wait "$top/pipelines/slurm/penstock.sbatch"
    is 'and runs it on two nodes of this machine, with keys' "$st" 0
    is 'to the bits of the plain pipe' "$(digest <"$tmp/job/latest/model.safetensors")" "$want"
    slurm_down "$tmp/slurm"
else
    skip 'Slurm accepts the batch file' 'no Slurm here (slurmctld, slurmd, slurm-client, munge), or not root'
fi
plan
