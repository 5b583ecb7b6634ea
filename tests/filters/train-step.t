#!/bin/sh
# tests/filters/train-step.t - the trainer as a user meets it, against PyTorch's numbers, and with what it must refuse
. "$(dirname "$0")/lib.sh"
micro=$golden/whisper-micro
stream() { perl "$here/micro-stream.pl" "$micro" "$@"; }
hyper='--batch-size 3 --learning-rate 1e-3 --warmup-steps 3 --weight-decay 0.01 --logging-steps 1'
stream --epochs 10 >"$tmp/ten"
stream >"$tmp/one"

# near FILE KEY LIMIT: the key's value in every line of metrics against adamw.json, relatively
near() {
    perl -MJSON::PP -e '
        my ($file, $key, $limit) = @ARGV; local $/; my $want = decode_json(scalar <STDIN>)->{steps};
        open my $f, "<", $file or die $!; my @got = map { decode_json($_) } split /\n/, <$f>;
        my ($worst, $n) = (0, scalar @got); my %as = (learning_rate => "lr");
        for (0 .. $n - 1) {
            my $w = $want->[$_]{$as{$key} || $key};
            my $d = abs($got[$_]{$key} - $w) / ($w ? abs $w : 1);
            $worst = $d unless $d <= $worst;
        }
        print $n == @$want && $worst <= $limit ? "good" : "$n steps, off by $worst";' "$@" <"$micro/adamw.json"
}

# --- the golden run ---
runsh "train-step --model $micro/model --in $tmp/ten $hyper --metrics $tmp/m | ckpt-write -q $tmp/ref"
is 'ten steps are trained' "$st $(readlink "$tmp/ref/latest")" '0 step-000010'
is 'each loss is that of PyTorch' "$(near "$tmp/m" loss 2e-6)" good
is 'so is each norm' "$(near "$tmp/m" grad_norm 1e-5)" good
is 'and each rate, as transformers schedules it' "$(near "$tmp/m" learning_rate 1e-12)" good
is 'a line of metrics has these keys, in order' "$(head -n1 "$tmp/m" | grep -o '"[a-z_]*":' | tr -d '":' | tr '\n' ' ')" \
   'step epoch loss grad_norm learning_rate tokens samples step_seconds wait_seconds peak_memory '
like 'a memory plan is printed before the first step' "$err" \
    'memory: weights .* MB, moments .* MB, .*activations and gradients .* MB with 3 rows of 18 tokens.*; at most .* MB, with 3 rows of 64'
is 'the checkpoint is a whole model directory' "$(ls "$tmp/ref/latest" | tr '\n' ' ')" \
   "complete.json config.json generation_config.json model.safetensors optimizer.safetensors preprocessor_config.json \
processor_config.json tokenizer.json tokenizer_config.json trainer_state.json "
is 'what training does not change is copied' \
    "$(cd "$micro/model" && for f in *.json; do cmp "$f" "$tmp/ref/latest/$f"; done)" ''
like 'its state says what was used' "$(tr -d ' \n' <"$tmp/ref/latest/trainer_state.json")" \
     '"penstock":\{"run":"30313233343536373839616263646566","next":30,"offset":0,"skipped":0,'

runsh "train-step --threads 1 --model $micro/model --in $tmp/ten $hyper | ckpt-write -q $tmp/o1"
ok 'one thread gives the same bits' cmp "$tmp/ref/latest/model.safetensors" "$tmp/o1/latest/model.safetensors"
runsh "train-step --gradient-checkpointing --model $micro/model --in $tmp/ten $hyper | ckpt-write -q $tmp/o2"
ok 'so does recomputing layers' cmp "$tmp/ref/latest/model.safetensors" "$tmp/o2/latest/model.safetensors"
stream --epochs 10 --unit 2 >"$tmp/two"
runsh "cat $tmp/two | train-step --model $micro/model $hyper | ckpt-write -q $tmp/o3"
ok 'so do units of another size, from a pipe' cmp "$tmp/ref/latest/model.safetensors" "$tmp/o3/latest/model.safetensors"

# --- batches, accumulation, epochs ---
train() {
    name=$1
    shift
    runsh "train-step --model $micro/model $* --logging-steps 1 --metrics $tmp/m.$name | ckpt-write -q $tmp/$name"
}
field() { perl -MJSON::PP -ne 'print decode_json($_)->{'"$2"'}, " "' "$1"; }
train acc --in "$tmp/one" --batch-size 2 --gradient-accumulation-steps 2 --learning-rate 1e-3
is 'micro-batches of 2 and 1 are one step over all tokens' "$st $(field "$tmp/m.acc" samples) $(field "$tmp/m.acc" tokens)" \
    '0 3  54 '
is 'with the loss of the whole' "$(field "$tmp/m.acc" loss | cut -c1-7)" 8.19905
is 'and its norm' "$(field "$tmp/m.acc" grad_norm | cut -c1-7)" 9.18456
stream --epochs 2 --bad 1 >"$tmp/bad"
train skip --in "$tmp/bad" --batch-size 2
is 'failed records fill no batch, and batches do not cross epochs' "$st $(field "$tmp/m.skip" samples)" '0 2 2 '
is 'epochs are counted with their fraction' "$(field "$tmp/m.skip" epoch)" '1 2 '
like 'what was skipped is in the state' "$(tr -d ' \n' <"$tmp/skip/latest/trainer_state.json")" \
    '"next":6,"offset":0,"skipped":2'
run train-step --model "$micro/model" --in "$tmp/bad" --out "$tmp/null" --max-errors 1
is 'too many failed records: done, with status 1' "$st" 1
like 'and a line that counts them' "$err" '2 of 6 records failed, more than --max-errors 1 allows'
echo '{"id": "a", "audio": "gone.wav"}' >"$tmp/gone.jsonl"
gcs-fetch -q "$tmp/gone.jsonl" >"$tmp/gone" 2>/dev/null
run train-step --model "$micro/model" --in "$tmp/gone" --out "$tmp/null"
is 'not one record to train on is no success' "$st $err" \
    '100 train-step: none of 1 records could be trained on, and there is no checkpoint'
train most --in "$tmp/ten" --batch-size 3 --max-steps 4
is 'a number of steps ends training early' "$st $(field "$tmp/m.most" step)" '0 1 2 3 4 '
rates() { perl -MJSON::PP -ne 'printf "%.6g ", decode_json($_)->{learning_rate}' "$tmp/m.$1"; }
train root --in "$tmp/ten" --batch-size 3 --max-steps 8 --learning-rate 1e-3 \
    --lr-scheduler-type inverse_sqrt --warmup-ratio 0.3
is 'a share of the steps warms up, and the rate falls with their root, as transformers schedules it' "$(rates root)" \
    '0 0.000333333 0.000666667 0.001 0.000866025 0.000774597 0.000707107 0.000654654 '
train slow --in "$tmp/ten" --batch-size 3 --max-steps 3 --learning-rate 1e-3 --lr-scheduler-type inverse_sqrt
is 'and slowly without a warm-up' "$(rates slow)" '0.001 0.00099995 0.0009999 '
stable='--batch-size 3 --learning-rate 1e-3 --warmup-steps 2 --lr-scheduler-type warmup_stable_decay'
train stable --in "$tmp/ten" $stable --max-steps 8 \
    --lr-scheduler-kwargs "'"'{"num_decay_steps": 4, "decay_type": "1-sqrt", "min_lr_ratio": 0.1}'"'"
is 'a rate that stays and then falls, as transformers has it' "$(rates stable)" \
    '0.0001 0.00055 0.001 0.001 0.001 0.00055 0.000363604 0.000220577 '
run train-step --model "$micro/model" --in "$tmp/ten" $stable --max-steps 9 --resume "$tmp/stable" --out "$tmp/null" \
    --lr-scheduler-kwargs '{"num_decay_steps": 3}'
like 'going on with others is told' "$st $err" '^0 .*had --lr-scheduler-kwargs \{.*"num_decay_steps": 4'
cat "$tmp/one" "$tmp/one" >"$tmp/oneone"
train both --in "$tmp/oneone" --batch-size 2 --max-steps 4 --lr-scheduler-type constant
is 'streams may follow each other' "$st $(field "$tmp/m.both" samples)" '0 2 1 2 1 '
stream --epochs 2 >"$tmp/twice"
cat "$tmp/one" "$tmp/twice" "$tmp/one" >"$tmp/joined"
# joined DIRECTORY OPTIONS...: trained on all of them
joined() {
    to=$1
    shift
    runsh "cat $tmp/joined | train-step --model $micro/model --lr-scheduler-type constant --batch-size 3 --logging-steps 1 \
           --eval-stream $tmp/one --eval-steps 4 --save-steps 1 $* | ckpt-write -q $to"
}
joined "$tmp/joins" --metrics "$tmp/m.joined"
is 'the steps of all of them are taken' "$st $(field "$tmp/m.joined" step)" '0 1 2 3 4 '
is 'the last step alone is the last' \
    "$(grep -c eval_loss "$tmp/m.joined") $(grep -l '"finished": true' "$tmp"/joins/step-*/trainer_state.json | wc -l)" '1 1'
cp -R "$tmp/joins" "$tmp/joined3"
rm -rf "$tmp/joined3/latest" "$tmp/joined3/step-000003" "$tmp/joined3/step-000004"
joined "$tmp/joined3" -q --resume "$tmp/joined3"
is 'a run that was stopped in the second goes on to the same bits' \
    "$st $(cd "$tmp/joined3/step-000004" && for f in *.safetensors trainer_state.json; do
               cmp "$f" "$tmp/joins/step-000004/$f" && echo same
           done | tr '\n' ' ')" \
   '0 same same same '
runsh "{ cat $tmp/joined | train-step -q --model $micro/model --batch-size 3; echo \$? >$tmp/status; } |
       ckpt-write -q $tmp/decay"
is 'a rate that decays cannot know how far: refused, and what the first gave is saved' \
    "$(cat "$tmp/status") $(readlink "$tmp/decay/latest")" '100 step-000001'
like 'and that is said' "$err" \
    '^train-step: a stream follows the first, and --lr-scheduler-type linear needs .*: give --max-steps N$'

# --- adapters, frozen parts, other weights ---
train lora --in "$tmp/one" --lora-r 4 --lora-alpha 8 --lora-target-modules q_proj,v_proj --learning-rate 1e-3
is 'an adapter is a directory as PEFT has them' \
    "$st $(ls "$tmp/lora/latest" | grep -c 'adapter_config.json\|adapter_model.safetensors')" '0 2'
like 'and names the class of its base, which no task of PEFT stands for' \
    "$(tr -d ' \n' <"$tmp/lora/latest/adapter_config.json")" \
    '"auto_mapping":\{"base_model_class":"WhisperForConditionalGeneration","parent_library":"transformers.models.whisper.modeling_whisper"\}.*"task_type":null'
like 'a table says what matched' "$err" 'adapters of rank 4 on 12 modules: .*q_proj 6'
run train-step --model "$micro/model" --in "$tmp/one" --lora-target-modules nothing
is 'an adapter that matches nothing is refused' "$st" 100
changed() { # how many tensors of encoder and decoder differ between two files
    perl -MJSON::PP -e '
        sub st {
            open my $f, "<:raw", shift;
            local $/;
            my $d = <$f>;
            my $n = unpack "Q<", $d;
            my $h = decode_json(substr $d, 8, $n);
            delete $h->{__metadata__};
            +{ map { my ($a, $b) = @{$h->{$_}{data_offsets}}; $_, substr $d, 8 + $n + $a, $b - $a } keys %$h }
        }
        my ($x, $y) = map { st($_) } @ARGV;
        print join " ", map { my $part = $_; scalar grep { /\.$part\./ && $x->{$_} ne $y->{$_} } keys %$x }
            "encoder", "decoder"
        ' "$micro/model/model.safetensors" "$1/latest/model.safetensors"
}
train froze --in "$tmp/one" --freeze encoder --learning-rate 1e-2 --lr-scheduler-type constant
is 'frozen tensors keep their bits, all others change' "$st $(changed "$tmp/froze")" '0 0 52'
runsh "train-step --model $micro/model --eval-stream - <$tmp/one"
like 'an evaluation does not eat what is to be trained on' "$st $err" '^100 train-step: --eval-stream - would read'
run train-step --model openai/whisper-tiny --in "$tmp/one"
like 'a name on the Hub is told from a directory' "$st $err" \
    "^100 train-step: cannot open model 'openai/whisper-tiny': .*; a model is a directory"
run train-step --model "$micro/model" --in "$tmp/one" --resume ''
like 'a --resume that is empty does not start anew' "$st $err" "^100 train-step: --resume '' names no DEST"
run train-step --model "$micro/model" --in "$tmp/one" --freeze nothing
is 'a pattern that freezes nothing is refused' "$st" 100
run train-step --model "$micro/model" --in "$tmp/one" --freeze model
is 'so is one that leaves nothing' "$st" 100
train half --in "$tmp/one" --save-dtype bfloat16
is 'weights can be saved shorter, and config.json says so' \
    "$st $(grep -c '"dtype": "bfloat16"' "$tmp/half/latest/config.json")" '0 1'
train bf16 --in "$tmp/ten" --batch-size 3 --learning-rate 1e-3 --warmup-steps 3 --weight-decay 0.01 --dtype bfloat16
is 'products in bfloat16 keep near to the losses of float32' "$st $(near "$tmp/m.bf16" loss 5e-3)" '0 good'
train zero --in "$tmp/one" --learning-rate 0
is 'a rate of 0 changes nothing' "$st $(changed "$tmp/zero")" '0 0 0'

# --- evaluation ---
train eval --in "$tmp/ten" --batch-size 3 --learning-rate 1e-3 --eval-stream "$tmp/one" --eval-steps 5 --save-steps 5
is 'evaluation is in the metrics of its steps' "$st $(grep -c eval_loss "$tmp/m.eval")" '0 2'
is 'and the best checkpoint in the state' "$(grep -o '"best_model_checkpoint": .*' "$tmp/eval/latest/trainer_state.json")" \
    '"best_model_checkpoint": "step-000010",'

train wer --in "$tmp/ten" --batch-size 3 --learning-rate 1e-3 --eval-stream "$tmp/one" --eval-steps 5 --save-steps 5 \
    --predict-with-generate --metric-for-best-model wer
is 'answers are scored on request' "$st $(grep -o '"eval_wer": [0-9.]*' "$tmp/m.wer" | wc -l)" '0 2'
mkdir "$tmp/learnt"
cp "$micro/model/"*.json "$tmp/learnt/"
cp -f "$micro/trained/"* "$tmp/learnt/"
run train-step -q --model "$tmp/learnt" --in "$tmp/one" --learning-rate 0 --eval-stream "$tmp/one" \
    --predict-with-generate --metrics "$tmp/m.learnt" --out "$tmp/null"
is 'a model that has learnt its clips answers them' "$st $(field "$tmp/m.learnt" eval_wer)" '0 0 '
train stop --in "$tmp/ten" --batch-size 3 --learning-rate 0 --eval-stream "$tmp/one" --eval-steps 2 \
    --early-stopping-patience 2
is 'training stops when evaluations bring nothing better' "$st $(readlink "$tmp/stop/latest")" '0 step-000006'
runsh "train-step -q --model $micro/model --in $tmp/ten --batch-size 3 --learning-rate 0 --eval-stream $tmp/one \
       --eval-steps 2 --early-stopping-patience 2 --resume $tmp/stop | ckpt-write -q $tmp/stop"
is 'and stays stopped' "$st $(readlink "$tmp/stop/latest")" '0 step-000006'

# --- what is refused ---
refuse() { # NAME PATTERN ARGUMENTS...
    n=$1 p=$2; shift 2
    run train-step "$@"
    is "$n: refused" "$st $(printf '%s\n' "$err" | grep -c .)" '100 1'
    like "$n: said" "$err" "^train-step: $p"
}
model() { rm -rf "$tmp/model"; cp -r "$micro/model" "$tmp/model"; chmod -R u+w "$tmp/model"; }
edit() { model; perl "$here/safetensors-edit.pl" "$micro/model/model.safetensors" "$tmp/model/model.safetensors" "$@"; }
refuse 'no model' '--model DIR is missing'
refuse 'an unknown option' "unknown option '--learning-rat'.*--learning-rate" --learning-rat 1
refuse 'a directory that is none' ".*'/nowhere'" --model /nowhere --in "$tmp/one"
edit drop model.encoder.conv1.bias
refuse 'a missing tensor' ".*lacks tensor 'model.encoder.conv1.bias'" --model "$tmp/model" --in "$tmp/one"
edit rename model.encoder.conv1.bias model.encoder.conv1.bais
refuse 'a misspelt tensor' ".*lacks tensor 'model.encoder.conv1.bias'" --model "$tmp/model" --in "$tmp/one"
edit shape model.encoder.conv1.bias 8,8
refuse 'a wrong shape' ".*'model.encoder.conv1.bias' has shape \\[8, 8\\], but its configuration says \\[64\\]" \
    --model "$tmp/model" --in "$tmp/one"
model; change 's/"encoder_layers": 2/"encoder_layers": 1/' "$tmp/model/config.json"
refuse 'a tensor too many' ".*has a tensor that its configuration knows nothing of: 'model.encoder.layers.1" \
    --model "$tmp/model" --in "$tmp/one"
model; resize 500000 "$tmp/model/model.safetensors"
refuse 'a truncated file of weights' ".*model.safetensors'" --model "$tmp/model" --in "$tmp/one"
model; echo '{' >"$tmp/model/config.json"
refuse 'a broken config.json' ".*config.json'" --model "$tmp/model" --in "$tmp/one"
model; change 's/"whisper"/"wisper"/' "$tmp/model/config.json"
refuse 'an unknown architecture' ".*wisper" --model "$tmp/model" --in "$tmp/one"
model; rm "$tmp/model/model.safetensors"
refuse 'no weights' ".*has no model.safetensors" --model "$tmp/model" --in "$tmp/one"
refuse 'an adapter for a model' ".*is an adapter" --model "$tmp/lora/latest" --in "$tmp/one"
stream --feature-size 128 >"$tmp/other"
refuse 'samples made for another model' ".*mel-features had feature_size 128, but .* wants 80" \
    --model "$micro/model" --in "$tmp/other"
stream --mels 40 >"$tmp/forty"
run train-step --model "$micro/model" --in "$tmp/forty"
is 'features of another shape are refused' "$st" 100
like 'naming the sample' "$err" "sample 'clip0'.*40 mel bands, but the model takes 80"
stream --no-count >"$tmp/uncounted"
refuse 'an unknown number of steps under a decaying rate' '.*give --max-steps' --model "$micro/model" --in "$tmp/uncounted"
refuse 'a share of an unknown number of steps' '.*with --warmup-ratio .*give --max-steps' --model "$micro/model" \
    --in "$tmp/uncounted" --lr-scheduler-type inverse_sqrt --warmup-ratio 0.1
scheduler() { n=$1 p=$2; shift 2; refuse "$n" "$p" --model "$micro/model" --in "$tmp/one" --lr-scheduler-type "$@"; }
scheduler 'an argument that the scheduler does not know' \
    "--lr-scheduler-kwargs: cosine takes no 'num_cycle': did you mean 'num_cycles'" \
    cosine --lr-scheduler-kwargs '{"num_cycle": 2}'
scheduler 'one of another' "--lr-scheduler-kwargs: linear takes no 'power', but nothing" \
    linear --lr-scheduler-kwargs '{"power": 2}'
scheduler 'a value that cannot be' "--lr-scheduler-kwargs: 'num_cycles' wants a whole number above 0" \
    cosine_with_restarts --lr-scheduler-kwargs '{"num_cycles": 1.5}'
scheduler 'what is no JSON' '.*--lr-scheduler-kwargs' cosine --lr-scheduler-kwargs '{num_cycles: 2}'
scheduler 'a floor that is not given' '.*wants one of min_lr and min_lr_rate' cosine_with_min_lr
scheduler 'an end above the beginning' '.*ends at lr_end 0.1, which must be less than --learning-rate 5e-05' \
    polynomial --lr-scheduler-kwargs '{"lr_end": 0.1}'
scheduler 'a decay of unknown length' '.*wants num_decay_steps' warmup_stable_decay
refuse 'two warm-ups' '--warmup-steps and --warmup-ratio exclude' --model "$micro/model" --in "$tmp/one" --warmup-steps 1 \
    --warmup-ratio 0.1
run train-step --model "$micro/model" --in "$tmp/uncounted" --lr-scheduler-type constant --out "$tmp/null"
is 'under a constant one it is fine' "$st" 0
refuse 'text for a stream' '.*' --model "$micro/model" --in "$micro/adamw.json"
refuse 'a share that is none' '--max-errors' --model "$micro/model" --in "$tmp/one" --max-errors many
stream --epochs 3 --nan 7 >"$tmp/unheard"
train nan --in "$tmp/unheard" --batch-size 3
is 'features that are no numbers are a failed record' "$st $(field "$tmp/m.nan" samples)" '0 3 3 2 '
like 'which is named' "$err" "train-step: sample 'clip1': 'input_features': band 0 of frame [0-9]+ is -?nan; passed over"
train spoilt --in "$tmp/ten" --freeze encoder --batch-size 3 --max-steps 2
edit first model.encoder.layer_norm.bias nan
refuse 'a loss that is no number' \
       "loss is -?nan at step 3, in the samples from 'clip0' on; the last good checkpoint is step-000002" \
       -q --freeze encoder --model "$tmp/model" --in "$tmp/ten" --batch-size 3 --max-steps 3 --resume "$tmp/spoilt" \
       --out "$tmp/null"
run train-step --model "$micro/model" --in "$tmp/one" --max-steps 9 --out "$tmp/null"
like 'fewer samples than --max-steps wants are done, and told' "$st $err" \
    'train-step: the samples ended after step 1 of --max-steps 9: --num-train-epochs of the source repeats them$'
stream --no-end --epochs 2 >"$tmp/cut"
runsh "cat $tmp/cut |
       train-step --model $micro/model --batch-size 3 --lr-scheduler-type constant --max-steps 9 --out $tmp/ck"
is 'a stream that is cut short ends training' "$st" 111
run ckpt-write -q --in "$tmp/ck" "$tmp/cutout"
is 'what it gave is saved first' "$st $(readlink "$tmp/cutout/latest")" '0 step-000002'
plan
