#!/bin/sh
# tests/filters/resume.t - whatever is killed, and when, the weights in the end are those of a run without faults
. "$(dirname "$0")/lib.sh"
micro=$golden/whisper-micro
stream() { perl "$here/micro-stream.pl" "$micro" "$@"; }
hyper="--model $micro/model --batch-size 2 --gradient-accumulation-steps 2 --learning-rate 1e-3 --warmup-steps 3"
hyper="$hyper --weight-decay 0.01 --save-steps 3"
seed=${SEED:-$(date +%s)}
random() { seed=$(((seed * 1103515245 + 12345) % 2147483648)); r=$((seed / 65536 % $1)); }      # r: 0 .. $1-1
echo "# SEED=$seed"

# 24 steps: 12 epochs of 6 samples (one of them failed), 2 groups an epoch
stream --epochs 12 --repeat 2 --unit 4 --bad 3 >"$tmp/all"
runsh "train-step $hyper --in $tmp/all | ckpt-write -q $tmp/ref"
is 'a run without faults' "$st $(readlink "$tmp/ref/latest")" '0 step-000024'
same() {
    for f in model.safetensors optimizer.safetensors trainer_state.json; do
        cmp "$tmp/ref/latest/$f" "$1/latest/$f" || return
    done
}

# --- kill -9 at random moments ---
mkfifo "$tmp/ckpt"      # held while both ends are opened, else one that is killed before that lets the other wait for ever
ended=0 broken=0 kills=0
while [ $ended = 0 ] && [ $kills -lt 60 ]; do
    exec 7<>"$tmp/ckpt"
    train-step -q $hyper --in "$tmp/all" --resume "$tmp/killed" >"$tmp/ckpt" 7>&- 2>"$tmp/e1" & trainer=$!
    ckpt-write -q --save-total-limit 2 "$tmp/killed" <"$tmp/ckpt" 7>&- 2>"$tmp/e2" & writer=$!
    exec 7>&-
    random $((40 + 10 * kills + kills * kills))     # longer and longer: slow machines end too
    sleep "$((r / 100)).$(printf %02d $((r % 100)))"
    random 2
    if [ "$r" = 0 ]; then kill -9 $trainer 2>/dev/null; else kill -9 $writer 2>/dev/null; fi
    wait $trainer 2>/dev/null; s1=$?
    wait $writer 2>/dev/null; s2=$?
    [ $s1 = 0 ] && [ $s2 = 0 ] && ended=1
    kills=$((kills + 1))
    for d in "$tmp/killed"/step-*; do
        [ -e "$d" ] || continue
        perl -MJSON::PP -MDigest::SHA -e '
            my $d = shift; local $/; open my $f, "<", "$d/complete.json" or exit 1; my $files = decode_json(<$f>)->{files};
            for (keys %$files) {
                exit 1 if -s "$d/$_" != $files->{$_}{size};
                exit 1 if Digest::SHA->new(256)->addfile("$d/$_")->hexdigest ne $files->{$_}{sha256};
            }
            exit 1 unless $files->{"model.safetensors"}' "$d" || broken=$((broken + 1))
    done
done
echo "# $kills rounds"
is 'runs that are killed at random moments get to the end' "$ended" 1
is 'every directory that a kill left was whole' "$broken" 0
ok 'and the weights, moments and state are the same bits' same "$tmp/killed"

# --- SIGTERM: the step is finished and saved ---
(stream --epochs 12 --repeat 2 --unit 4 --bad 3 --sleep 0.03 2>/dev/null |
     { train-step -q $hyper --resume "$tmp/term" 2>"$tmp/e1"; echo $? >"$tmp/status"; }) \
    | ckpt-write -q "$tmp/term" 2>"$tmp/e2" & pipe=$!
wait_until 100 test -e "$tmp/term/latest"
kill -TERM $(pgrep -f "^train-step .*$tmp/term")
wait $pipe
is 'SIGTERM: status 111' "$(cat "$tmp/status")" 111
is 'the writer saw a whole stream' "$(cat "$tmp/e2")" ''
step=$(readlink "$tmp/term/latest")
like 'a checkpoint was written in the midst of it' "$step" 'step-0000(0[3-9]|1|2[0-3])'
runsh "train-step -q $hyper --in $tmp/all --resume $tmp/term | ckpt-write -q $tmp/term"
is 'it goes on from there' "$st $(readlink "$tmp/term/latest")" '0 step-000024'
ok 'to the same bits' same "$tmp/term"

# --- where the stream begins ---
runsh "train-step -q $hyper --in $tmp/all --max-steps 24 --resume $tmp/fresh | ckpt-write -q $tmp/fresh"
ok 'a directory without a checkpoint starts fresh' same "$tmp/fresh"
runsh "train-step -q $hyper --in $tmp/all --resume $tmp/fresh | ckpt-write -q $tmp/fresh"
is 'a finished run has nothing to do' "$st $(ls "$tmp/fresh" | wc -l)" "0 $(ls "$tmp/ref" | wc -l)"
cp -r "$tmp/ref" "$tmp/early"
rm -rf "$tmp/early/latest" "$tmp/early"/step-00002* "$tmp/early"/step-000018 "$tmp/early"/step-000015
next=$(grep -o '"next": [0-9]*' "$tmp/early/step-000012/trainer_state.json" | tr -dc 0-9)
stream --epochs 12 --repeat 2 --unit 4 --bad 3 --first "$next" >"$tmp/tail"
runsh "train-step -q $hyper --in $tmp/tail --resume $tmp/early | ckpt-write -q $tmp/early"
ok 'a source that was started at the next unit gives the same bits' same "$tmp/early"
rm -rf "$tmp/early/latest" "$tmp/early"/step-00001[5-9] "$tmp/early"/step-00002*
stream --epochs 12 --repeat 2 --unit 4 --bad 3 --first $((next + 1)) >"$tmp/late"
run train-step -q $hyper --in "$tmp/late" --resume "$tmp/early" --out "$tmp/null"
is 'one that was started later is refused' "$st" 100
like 'with what to do' "$err" "goes on at unit $next, but the stream begins at unit $((next + 1)); .*--start $next"
stream --epochs 12 --repeat 2 --unit 4 --bad 3 --run fedcba9876543210 >"$tmp/other"
run train-step -q $hyper --in "$tmp/other" --resume "$tmp/early" --out "$tmp/null"
is 'the stream of another run is refused' "$st" 100
like 'and that is said' "$err" 'this stream is of another run'

# --- checkpoints that are not sound ---
resize 1000 "$tmp/early/step-000012/optimizer.safetensors"
run train-step -q $hyper --in "$tmp/all" --resume "$tmp/early" --out "$tmp/null"
is 'a checkpoint with a truncated file is refused' "$st" 100
like 'naming the file' "$err" "step-000012/optimizer.safetensors' has 1000 bytes, but complete.json says"
cp "$tmp/ref/step-000012/optimizer.safetensors" "$tmp/early/step-000012/"
run train-step -q $hyper --freeze encoder --in "$tmp/all" --resume "$tmp/early" --out "$tmp/null"
is 'freezing more is possible' "$st" 0
ckpt-write -q --in "$tmp/null" "$tmp/more"
enc() {
    perl -e '
        open my $f, "<:raw", shift; local $/; my $d = <$f>; my $n = unpack "Q<", $d;
        my $name = "model.encoder.layers.0.fc1.weight";
        my ($a, $b) = substr($d, 8, $n) =~ /"$name":.*?"data_offsets":\s*\[(\d+),\s*(\d+)\]/s;
        print unpack "H*", substr $d, 8 + $n + $a, $b - $a' "$1/model.safetensors" | cksum
}
is 'and what is frozen keeps what it had learnt' "$(enc "$tmp/more/latest")" "$(enc "$tmp/ref/step-000012")"
printf X | dd of="$tmp/early/step-000012/optimizer.safetensors" bs=1 seek=50000 conv=notrunc 2>/dev/null
run train-step -q $hyper --in "$tmp/all" --resume "$tmp/early" --out "$tmp/null"
is 'a damaged file is refused' "$st" 100
like 'by its sum' "$err" "step-000012/optimizer.safetensors' is damaged"
cp "$tmp/ref/step-000012/optimizer.safetensors" "$tmp/early/step-000012/"
run train-step -q ${hyper%--learning-rate*} --learning-rate 1e-4 --in "$tmp/all" --resume "$tmp/early" --out "$tmp/null"
like 'another rate is told' "$st $err" "^0 .*step-000012' had --learning-rate 0.001"
run train-step -q $hyper --in "$tmp/all" --resume "$tmp/early" --freeze encoder --mask-time-prob 0.5 --out "$tmp/null"
like 'so is what is frozen now' "$st $err" "^0 .*step-000012' had no --freeze"
like 'and what is masked' "$st $err" "step-000012' had no --mask-time-prob"
runsh "train-step -q --freeze encoder $hyper --in $tmp/all --max-steps 3 | ckpt-write -q $tmp/frozen"
run train-step -q $hyper --in "$tmp/all" --resume "$tmp/frozen" --out "$tmp/null"
is 'training what was frozen is not' "$st" 100
like 'naming what lacks its moments' "$err" "has no moments of 'model.encoder"

# --- the same of adapters and of narrow weights ---
part() { # NAME OPTIONS...: a run with a stop, against one without
    n=$1; shift
    runsh "train-step -q $hyper $* --in $tmp/all --max-steps 8 | ckpt-write -q $tmp/$n-1"
    runsh "head -c 400000 $tmp/all | train-step -q $hyper $* --max-steps 8 --resume $tmp/$n-2 | ckpt-write -q $tmp/$n-2"
    runsh "train-step -q $hyper $* --in $tmp/all --max-steps 8 --resume $tmp/$n-2 | ckpt-write -q $tmp/$n-2"
    is "$n: the whole and the parts give the same bits" \
        "$(cd "$tmp/$n-1/latest" &&
           for f in *.safetensors; do cmp "$f" "$tmp/$n-2/latest/$f" && echo same; done | tr '\n' ' ')" 'same same '
}
part adapter --lora-r 4 --lora-dropout 0.1
run train-step -q $hyper --in "$tmp/all" --resume "$tmp/adapter-1" --out "$tmp/null"
is 'an adapter does not go on as a model' "$st" 100
like 'and that is said' "$err" 'is of an adapter: go on with its --lora'
cp -R "$micro/model" "$tmp/model"
chmod -R u+w "$tmp/model"
perl "$here/safetensors-edit.pl" "$micro/model/model.safetensors" "$tmp/model/model.safetensors" \
    first model.decoder.layers.0.fc1.weight 0.5
run train-step -q $hyper --lora-r 4 --lora-dropout 0.1 --model "$tmp/model" --in "$tmp/all" --resume "$tmp/adapter-1" \
    --out "$tmp/null"
is 'nor on another base' "$st" 100
like 'naming both' "$err" \
    "'.*/adapter-1/step-000008' is an adapter of another base model: the weights in --model '$tmp/model' are not"
run train-step -q $hyper --lora-r 4 --lora-alpha 16 --lora-dropout 0.1 --max-steps 8 --in "$tmp/all" \
    --resume "$tmp/adapter-1" --out "$tmp/null"
like 'another scale is told' "$st $err" "^0 .*had --lora-alpha 8"
run train-step -q $hyper --lora-r 8 --lora-dropout 0.1 --max-steps 8 --in "$tmp/all" --resume "$tmp/adapter-1" \
    --out "$tmp/null"
like 'another rank is refused, naming the checkpoint once' "$st $err" \
    "^100 train-step: checkpoint '$tmp/adapter-1/step-[0-9]*': tensor '[^']*' has another shape .*--lora options"
part bfloat16 --save-dtype bfloat16 --dtype bfloat16
part augmented --mask-time-prob 0.3 --mask-feature-prob 0.2

if [ "$(id -u)" = 0 ] && mkdir -p "$tmp/small" && mount -t tmpfs -o size=4m none "$tmp/small" 2>/dev/null; then
    runsh "{ train-step -q $hyper --in $tmp/all; echo \$? >$tmp/status; } | ckpt-write -q $tmp/small"
    is 'a full disk: both leave with 111' "$st $(cat "$tmp/status")" '111 111'
    like 'and the last good checkpoint stays' "$err" \
        "No space left on device; the newest complete checkpoint is '.*step-000003'"
    umount "$tmp/small"
else
    skip 'a full disk' 'needs root, to mount a small one'
fi
plan
