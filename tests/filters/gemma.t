#!/bin/sh
# tests/filters/gemma.t - Gemma 3 from rows of text to answers: the tokenizer is the real one, the model small and random
. "$(dirname "$0")/lib.sh"

tok=$tmp/tokenizer
mkdir "$tok"
xz -dc "$golden/tokenizer-gemma3/tokenizer.json.xz" >"$tok/tokenizer.json"
xz -dc "$golden/tokenizer-gemma3/tokenizer_config.json.xz" >"$tok/tokenizer_config.json"
cat >"$tmp/config.json" <<'END'
{"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 16,
 "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
 "query_pre_attn_scalar": 8, "sliding_window": 16, "sliding_window_pattern": 3, "max_position_embeddings": 256,
 "initializer_range": 0.3, "bos_token_id": 2, "eos_token_id": [1, 106], "pad_token_id": 0}
END
cat >"$tmp/rows.jsonl" <<'END'
{"id": "a", "messages": [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "One."}]}
{"id": "b", "messages": [{"role": "user", "content": "Two?"}, {"role": "assistant", "content": "Two, and two."}]}
{"id": "c", "prompt": "Three?", "response": "Three, and three, and three."}
{"id": "d", "messages": [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "One."}, {"role": "user", "content": "Four?"}, {"role": "assistant", "content": "Four."}]}
END
run model-init --tokenizer "$tok" "$tmp/config.json" "$tmp/m"
is 'a text model may lack ids that only images have' "$st" 0
gcs-fetch -q "$tmp/rows.jsonl" | tokenize --model "$tmp/m" >"$tmp/four"
runsh "gcs-fetch -q --num-train-epochs 40 '$tmp/rows.jsonl' | tokenize --model '$tmp/m' |
       train-step --model '$tmp/m' --batch-size 4 --learning-rate 3e-2 --weight-decay 0 --logging-steps 40 \
            --metrics '$tmp/metrics' \
       --eval-stream '$tmp/four' --eval-steps 20 | ckpt-write -q '$tmp/run'"
is 'rows of texts train a model' "$st $(readlink "$tmp/run/latest")" '0 step-000040'
value() { perl -MJSON::PP -ne 'my $v = decode_json($_)->{'"$1"'}; print $v, " " if defined $v' "$tmp/metrics"; }
is 'to know them by heart, by the stream kept for evaluation' "$(value eval_loss | awk '{ print NF, ($NF <= 0.05) }')" '2 1'
is 'of 29 supervised tokens a step' "$(value tokens)" '580 580 '

answers() {
    perl -CO -MJSON::PP -ne 'my $r = decode_json($_);
        print "$r->{id}: $r->{text} | $r->{reference} | @{$r->{tokens}}\n"' "$1"
}
runsh "generate -q --model '$tmp/run/latest' --max-new-tokens 20 <'$tmp/four'"
is 'generate answers four rows' "$st" 0
answers "$out" >"$tmp/answers"
is 'a prompt is all before the last answer, which is the reference' "$(cut -d'|' -f1,2 "$tmp/answers" | tr '\n' ';')" \
   "$(printf '%s;' 'a: One. | One. ' 'b: Two, and two. | Two, and two. ' \
      'c: Three, and three, and three. | Three, and three, and three. ' 'd: Four. | Four. ')"
is 'and the end of a turn ends it' "$(sed -n 's/^a: .*| \([0-9 ]*\)$/\1/p' "$tmp/answers")" '4906 236761 106'
runsh "generate -q --model '$tmp/run/latest' --max-new-tokens 20 --batch-size 1 --threads 1 <'$tmp/four'"
is 'one row at a time gives the same' "$(answers "$out")" "$(cat "$tmp/answers")"
runsh "generate -q --model '$tmp/m' --max-new-tokens 6 <'$tmp/four'"
like 'an answer can be cut, and says so' "$(sed -n 1p "$out")" '"cut": true'

# drawn, from the untrained model: almost all tokens are as likely as each other
draw() { runsh "generate -q --model '$tmp/m' --max-new-tokens 5 $* <'$tmp/four'"; answers "$out" >"$tmp/$name"; }
name=greedy; draw
name=top1; draw --do-sample --top-k 1 --seed 5
ok 'a draw among one is the likeliest' cmp "$tmp/greedy" "$tmp/top1"
name=minp; draw --do-sample --min-p 1
ok 'so is one among those as likely as the likeliest' cmp "$tmp/greedy" "$tmp/minp"
name=s5; draw --do-sample --temperature 2 --seed 5
name=s5one; draw --do-sample --temperature 2 --seed 5 --batch-size 1
ok 'a seed gives the same draws, whatever stands beside a row' cmp "$tmp/s5" "$tmp/s5one"
name=s6; draw --do-sample --temperature 2 --seed 6
is 'another seed gives others' "$(cmp -s "$tmp/s5" "$tmp/s6"; echo $?)" 1
printf '{"do_sample": true, "top_k": 1, "eos_token_id": [1, 106]}\n' >"$tmp/m/generation_config.json"
name=config; draw --do-sample --seed 7
ok 'what is not given is as generation_config.json says' cmp "$tmp/greedy" "$tmp/config"
run generate --model "$tmp/m" --top-k 4 --in "$tmp/four"
is 'an option that needs draws is refused without them' "$st $err" \
   '100 generate: --top-k needs --do-sample: without it the likeliest token is taken'

# a talk
runsh "printf 'One?\nFour?\n' | generate --model '$tmp/run/latest' --chat"
is 'a talk of two turns is answered line by line' "$st $(tr '\n' ';' <"$out")" '0 One.;Four.;'
full "echo 'One?' | generate --model '$tmp/run/latest' --chat"
runsh "printf 'Two?\n<image_soft_token>\nOne?' | generate --model '$tmp/run/latest' --chat --max-new-tokens 8"
is 'a line that the model cannot read is said and passed over' \
    "$st $(sed -n 1p "$out" | cut -c1-3) $(wc -l <"$out" | tr -d ' ') $err" \
   "0 Two 2 generate: the model has no token for '<image_soft_token>'"

# adapters
# --- what is another kind of model's is refused, not passed by in silence ---
run train-step --model "$tmp/m" --in "$tmp/four" --mask-time-prob 0.1
like 'SpecAugment, which would stand in the config of a model of texts' "$st $err" \
    "^100 train-step: --mask-.*is a model of texts"
run tokenize --model "$tmp/m" --in "$tmp/four" --timestamp-probability 0.5
like 'a mixture with times' "$st $err" '^100 tokenize: .*are for Whisper'
run tokenize --model "$golden/whisper-micro/model" --in "$tmp/four" --loss-on all
like 'turns of a talk, for Whisper' "$st $err" '^100 tokenize: --loss-on all is for talks'
run generate --model "$tmp/m" --in "$tmp/four" --system 'Be brief.'
like 'what a talk begins with, without --chat' "$st $err" '^100 generate: --system begins a --chat'
run generate --model "$tmp/m" --in "$tmp/four" --chat
like 'a stream, with --chat' "$st $err" '^100 generate: --chat reads standard input'

runsh "train-step -q --model '$tmp/m' --in '$tmp/four' --lora-r 4 --lora-target-modules 'q_proj,v_proj,down_proj' \
       --learning-rate 1e-2 | ckpt-write -q '$tmp/lora'"
is 'an adapter trains' "$st $(ls "$tmp/lora/latest" | grep -c adapter_)" '0 2'
like "and names its task, by which PEFT finds the base's class" "$(cat "$tmp/lora/latest/adapter_config.json")" \
    '"task_type": "CAUSAL_LM"'
runsh "generate -q --model '$tmp/lora/latest' --base-model '$tmp/m' --max-new-tokens 4 <'$tmp/four'"
is 'and answers on its base' "$st $(grep -c tokens "$out")" '0 4'

# what cannot be
run generate --model "$tmp/m" --language en --in "$tmp/four"
like 'options of speech are refused' "$st $err" '^100 generate: --language: .* is a model of texts'
runsh "gcs-fetch -q '$tmp/rows.jsonl' | generate -q --model '$tmp/m' --max-errors 100%"
like 'rows that are no tokens fail one by one' "$(sed -n 1p "$out")" \
    '"error": \{"stage": "generate", "message": "no .input_ids.: tokenize makes them'
perl -0pe 's/(tokenizer\xb0)[0-9a-f]{4}/${1}0000/' "$tmp/four" >"$tmp/other"
run generate --model "$tmp/m" --in "$tmp/other"
like 'tokens of another tokenizer are refused' "$st $err" '^100 .*tokens of another tokenizer'
# more ids than the tokenizer has, as models with a tower have them
sed 's/262144/262400/' "$tmp/config.json" >"$tmp/roomy.json"
run model-init -q --tokenizer "$tok" "$tmp/roomy.json" "$tmp/roomy"
printf '{"suppress_tokens": [%s]}' "$(seq 0 262144 | paste -s -d , -)" >"$tmp/roomy/generation_config.json"
runsh "generate -q --model '$tmp/roomy' --max-new-tokens 3 <'$tmp/four'"
like 'tokens that the tokenizer does not know have no text' "$st $(sed -n 1p "$out")" \
    '^0 .*"text": "", .*"tokens": \[262[0-9]+, 262[0-9]+, 262[0-9]+\]'

# an output layer of its own
sed 's/"pad_token_id": 0/"pad_token_id": 0, "tie_word_embeddings": false/' "$tmp/config.json" >"$tmp/untied.json"
run model-init -q --tokenizer "$tok" "$tmp/untied.json" "$tmp/untied"
run train-step --model "$tmp/untied" --lora-r 2 --lora-target-modules all-linear --in "$tmp/four" --out "$tmp/null"
like 'all-linear is all but the output layer, as in PEFT' "$err" 'adapters of rank 2 on 21 modules'
run train-step --model "$tmp/untied" --lora-r 2 --lora-target-modules lm_head --in "$tmp/four" --out "$tmp/null"
like 'which gets one when it is named' "$err" 'adapters of rank 2 on 1 modules: lm_head 1'
plan
