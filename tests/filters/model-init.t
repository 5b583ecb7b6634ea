#!/bin/sh
# tests/filters/model-init.t - random models, and adapters merged into models
. "$(dirname "$0")/lib.sh"
micro=$golden/whisper-micro

# distance A B: the largest scaled error over the tensors of B
distance() {
    perl -MJSON::PP -e '
        sub st {
            open my $f, "<:raw", shift or die $!;
            local $/;
            my $d = <$f>;
            my $n = unpack "Q<", $d;
            my $h = decode_json(substr $d, 8, $n);
            delete $h->{__metadata__};
            +{ map { my ($a, $b) = @{$h->{$_}{data_offsets}};
                     $_, [unpack "f<*", substr $d, 8 + $n + $a, $b - $a] } keys %$h }
        }
        my ($x, $y) = map { st($_) } @ARGV; my $worst = 0;
        for my $k (keys %$y) {
            my ($d, $s) = (0, 0);
            for (0 .. $#{$y->{$k}}) {
                my $e = abs($x->{$k}[$_] - $y->{$k}[$_]);
                $d = $e unless $e <= $d;
                $s = abs $y->{$k}[$_] if abs $y->{$k}[$_] > $s;
            }
            $worst = $d / $s unless $d / $s <= $worst;
        }
        print $worst <= $ENV{LIMIT} ? "near" : "off by $worst"' "$@"
}

run model-init --set d_model=32,encoder_layers=1,init_std=0.05 "$micro/model" "$tmp/a"
is 'a model is made from a directory' "$st" 0
is 'with the files that travel with it' "$(ls "$tmp/a" | tr '\n' ' ')" \
   "config.json generation_config.json model.safetensors preprocessor_config.json processor_config.json \
tokenizer.json tokenizer_config.json "
like 'and what was set' "$(tr -d ' \n' <"$tmp/a/config.json")" '"d_model":32,.*"encoder_layers":1,.*"init_std":0.05'
run model-init --set d_model=32,encoder_layers=1,init_std=0.05 --tokenizer "$micro/model" "$micro/model/config.json" "$tmp/b"
ok 'or from a file: the same bytes' cmp "$tmp/a/model.safetensors" "$tmp/b/model.safetensors"
run model-init --seed 7 "$tmp/a" "$tmp/c"
is 'another seed gives other weights' "$st $(cmp -s "$tmp/a/model.safetensors" "$tmp/c/model.safetensors"; echo $?)" '0 1'
perl "$here/micro-stream.pl" "$micro" >"$tmp/one"
run train-step -q --model "$tmp/a" --in "$tmp/one" --out "$tmp/null"
is 'the trainer takes it' "$st" 0
run model-init "$micro/model" "$tmp/a"
is 'a directory that is there is refused' "$st" 100
run model-init --set d_modl=32 "$micro/model" "$tmp/d"
is 'a key that is not there is refused' "$st $(test -e "$tmp/d"; echo $?)" '100 1'
like 'with the nearest' "$err" "no key 'd_modl'; the nearest is 'd_model'"
run model-init --set vocab_size=100 "$micro/model" "$tmp/d"
is 'a vocabulary smaller than the tokenizer is refused' "$st" 100
run model-init --tokenizer "$tmp/nowhere" "$micro/model" "$tmp/d"
like 'so is a directory of a tokenizer that is not there' "$st $err" "^100 .*--tokenizer '.*nowhere' is no directory"
run model-init --set d_model=33 "$micro/model" "$tmp/d"
is 'so is a width that the heads do not divide' "$st" 100

for a in lora-qv lora-ffn lora-encoder lora-patterns; do
    run lora-merge "$micro/$a" "$tmp/$a"
    is "$a is merged" "$st $(LIMIT=1e-6 distance "$tmp/$a/model.safetensors" "$micro/$a/merged.safetensors")" '0 near'
done
ok 'into a whole model' test -f "$tmp/lora-qv/tokenizer.json" -a -f "$tmp/lora-qv/config.json"
cp -r "$micro/lora-qv" "$tmp/moved"; chmod -R u+w "$tmp/moved"
run lora-merge "$tmp/moved" "$tmp/d"
like 'a base that is not found is refused' "$st $err" \
    "^100 .*base model of adapter '$tmp/moved': '../model' is no directory, from here or from the adapter"
run lora-merge --model "$micro/model" "$tmp/moved" "$tmp/d"
ok 'unless it is named' cmp "$tmp/d/model.safetensors" "$tmp/lora-qv/model.safetensors"
change 's/"use_dora": false/"use_dora": true/' "$tmp/moved/adapter_config.json"
run lora-merge --model "$micro/model" "$tmp/moved" "$tmp/e"
is 'an adapter of another kind is refused' "$st" 100
like 'naming it' "$err" "'use_dora' is not supported"
# patterns NAME TO WHAT...: lora-patterns with a tensor edited
patterns() {
    rm -rf "$tmp/edited"; cp -r "$micro/lora-patterns" "$tmp/edited"; chmod -R u+w "$tmp/edited"
    perl "$here/safetensors-edit.pl" "$micro/lora-patterns/adapter_model.safetensors" \
        "$tmp/edited/adapter_model.safetensors" "$@"
    run lora-merge --model "$micro/model" "$tmp/edited" "$tmp/e"
}
q=base_model.model.model.encoder.layers.1.self_attn.q_proj
patterns rename $q.lora_A.weight ${q%.q_proj}.r_proj.lora_A.weight
like 'a layer that the base does not have is named' "$st $err" \
    "^100 .*'${q%.q_proj}.r_proj.lora_A.weight' belongs to no layer of its base model"
patterns rename $q.lora_A.weight ${q%.q_proj}.v_proj.lora_A.weight
like 'a half of a pair too' "$st $err" "^100 .*lacks tensor '${q%.q_proj}.v_proj.lora_B.weight'"
patterns drop $q.lora_A.weight
like 'and the other half' "$st $err" "^100 .*knows nothing of: '$q.lora_B.weight'"
patterns rename $q.base_layer.bias base_model.model.proj_out.bias
like 'and a tensor that replaces nothing' "$st $err" "^100 .*its base model has no 'proj_out.bias'"
patterns rename $q.base_layer.bias ${q%.q_proj}.q_proj.bias.base_layer.bias
like 'and a name that says nothing' "$st" '^100$'
n=${q%.self_attn.q_proj}.final_layer_norm.bias
patterns rename $q.base_layer.bias ${n%.bias}.base_layer.bias
like 'and two tensors for one weight' "$st $err" \
    "^100 .*is the second tensor to replace 'model.encoder.layers.1.final_layer_norm.bias'"
patterns rename $q.base_layer.bias ${n%.bias}.original_module.bias
is 'what PEFT itself passes by is no hindrance' "$st" 0
rm -rf "$tmp/e"
patterns rename $q.base_layer.bias other.bias
like 'and one that is no part of an adapter' "$st $err" "^100 .*'other.bias' is not named as PEFT does"
patterns shape $q.lora_A.weight 2,128
like 'a rank that is not that of the configuration is told' "$st $err" \
    "^100 .*shape \[2, 128\], but its configuration says \[4, 64\]"
patterns first $q.lora_A.weight 0
change 's/"fc1": 2/"(fc1": 2/' "$tmp/edited/adapter_config.json"
run lora-merge --model "$micro/model" "$tmp/edited" "$tmp/e2"
like 'and a pattern that is no expression' "$st $err" "^100 .*rank_pattern: .*is no regular expression"
run lora-merge "$micro/model" "$tmp/e"
is 'a model is no adapter' "$st" 100

# what the trainer makes of an adapter, merged, gives the loss it had
run train-step -q --model "$micro/model" --in "$tmp/one" --lora-r 4 --learning-rate 1e-2 --lr-scheduler-type constant \
    --out "$tmp/ck" \
    --eval-stream "$tmp/one" --metrics "$tmp/m1"
run ckpt-write -q --in "$tmp/ck" "$tmp/adapter"
run lora-merge "$tmp/adapter/latest" "$tmp/merged"
run train-step -q --model "$tmp/merged" --in "$tmp/one" --learning-rate 0 --out "$tmp/null" \
    --eval-stream "$tmp/one" --metrics "$tmp/m2"
loss() { perl -MJSON::PP -ne 'printf "%.5f", decode_json($_)->{eval_loss}' "$1"; }
is 'an adapter of ours, merged, gives the loss it had' "$(loss "$tmp/m2")" "$(loss "$tmp/m1")"
if [ "$(id -u)" = 0 ] && mkdir -p "$tmp/fixed" && mount -t tmpfs -o ro none "$tmp/fixed" 2>/dev/null; then
    run model-init "$micro/model" "$tmp/fixed/m"
    is 'a file system that is read only is named so' "$st $err" \
        "100 model-init: cannot make directory '$tmp/fixed/m': Read-only file system"
    umount "$tmp/fixed"
else
    skip 'a file system that is read only' 'needs root, to mount one'
fi
plan
