#!/bin/sh
# tests/filters/tokenize.t - tokenize as a user meets it; ids themselves are for tests/unit/tokenize_test.c
. "$(dirname "$0")/lib.sh"
tool=${BUILD:-$top/build/obj}/unit/tokenize_test
W=$golden/whisper-micro/model
rows() { cat >"$tmp/rows.jsonl"; gcs-fetch -q "$tmp/rows.jsonl" >"$tmp/in"; }
tok() { run tokenize --model "$W" -i "$tmp/in" -o "$tmp/tok" "$@"; }
show() { run tokenize --model "$W" -i "$tmp/in" --show "$@"; }
line() { sed -n "$1p" "$out"; }
list() { "$tool" list "$tmp/tok"; }

# --- Whisper: what a row says, what options say
rows <<'X'
{"id": "plain", "text": " five", "language": "en"}
{"id": "name", "text": "five", "language": "German", "task": "translate"}
{"id": "times", "text": "<|0.00|> five<|0.72|>", "language": "de", "timestamps": true}
{"id": "spelt", "text": "<|en|><|endoftext|><|0.00|>\ttab\nline", "language": "es"}
{"id": "none", "text": "five"}
{"id": "other", "text": "five", "language": "grman"}
{"id": "unheard", "text": "five", "language": "fr"}
{"id": "mute", "language": "en"}
{"id": "task", "text": "five", "language": "en", "task": "summarise"}
{"id": "number", "text": "five", "language": "en", "timestamps": "perhaps"}
X
show --out "$tmp/shown"
is '--show goes where --out says' "$st $(wc -c <"$out" | tr -d ' ') $(head -n 1 "$tmp/shown" | cut -c1-6)" '0 0 plain:'
full "tokenize --model '$W' -q -i '$tmp/in' --show"
show
is '--show ends well' "$st" 0
is '--show puts what is learnt in brackets' "$(line 1)" \
    'plain: <|startoftranscript|>⟦<|en|><|transcribe|><|notimestamps|> five<|endoftext|>⟧'
is 'a language has a name too, and a row a task' "$(line 2)" \
    'name: <|startoftranscript|>⟦<|de|><|translate|><|notimestamps|>five<|endoftext|>⟧'
is 'a row with timestamps' "$(line 3)" \
    'times: <|startoftranscript|>⟦<|de|><|transcribe|><|0.00|> five<|0.72|><|endoftext|>⟧'
is 'what only looks like a control token is text' "$(line 4)" \
    'spelt: <|startoftranscript|>⟦<|es|><|transcribe|><|notimestamps|><|en|><|endoftext|><|0.00|>\ttab\nline<|endoftext|>⟧'
is 'without a language none is learnt' "$(line 5)" 'none: <|startoftranscript|>⟦<|notimestamps|>five<|endoftext|>⟧'
like 'and that is said' "$err" '^tokenize: 1 rows? name no language'
is 'an unknown language names the nearest' "$(line 6)" "other: error: unknown language 'grman'; the nearest is 'german'"
is 'a language that this model has no token for' "$(line 7)" "unheard: error: language 'fr' is not one of this model"
is 'a row without text' "$(line 8)" "mute: error: no 'text'"
is 'an unknown task' "$(line 9)" "task: error: task 'summarise' is neither transcribe nor translate"
is 'a flag that is none' "$(line 10)" "number: error: 'timestamps' is neither true nor false"
show --language es --task translate
is 'options serve rows that do not say' "$(line 5)" \
    'none: <|startoftranscript|>⟦<|es|><|translate|><|notimestamps|>five<|endoftext|>⟧'
is 'and no others' "$(line 1)" 'plain: <|startoftranscript|>⟦<|en|><|translate|><|notimestamps|> five<|endoftext|>⟧'
tok
is 'bad rows become error records' "$st" 0
is 'and travel on, so counts add up' "$(list | grep -c .) $(list | grep -c ' failed')" '10 5'
like 'text and language stay, as the reference of what is generated' "$(list | head -1)" \
    'fields=id,text,language,input_ids,labels$'
is 'labels are inputs one later' "$(list | sed -n 's/^plain: input_ids=401,\(.*\) labels=\(.*\) fields.*/\1 \2/p')" \
    '402,407,411,283,72,303 402,407,411,283,72,303,400'
like 'the header says what shaped the data' "$(stream-show --header "$tmp/tok" | tail -1)" \
    '"name": "tokenize".*"model_type": "whisper", "tokenizer": "[0-9a-f]{16}", "vocab_size": 563, "max_length": 64'

# --- long rows: 64 tokens
{ echo '{"id": "a", "language": "en", "text": "'"$(printf 'z%.0s' $(seq 61))"'"}'
  echo '{"id": "b", "language": "en", "text": "'"$(printf 'z%.0s' $(seq 60))"'"}'; } | rows
tok
is 'labels of more tokens than the model takes are an error record' "$(list | cut -d' ' -f1,2 | head -1)" 'a: failed'
like 'that says how many' "$err" "sample 'a': 65 tokens, but at most 64 are taken"
like 'as many as it takes are not' "$(list | sed -n 2p)" '^b: input_ids=401,402.* labels=402,.*,400 '
tok --over-long drop
is 'or dropped' "$(list | cut -d' ' -f1,2 | head -1)" 'a: dropped'
like 'and counted' "$err" 'over-long rows: 0 cut, 1 dropped'
tok --over-long cut
is 'or cut, and then has no end' \
    "$(list | sed -n 's/^a:.* labels=\(.*\) fields.*/\1/p' | tr , '\n' | wc -l) $(
        list | sed -n 's/^a:.*,\([0-9]*\) fields.*/\1/p')" '64 89'
like 'and counted too' "$err" 'over-long rows: 1 cut, 0 dropped'
tok --max-length 20 -q
is '--max-length is for less' "$(list | grep -c failed)" 2
tok --max-length 65
is 'not for more than the model takes: 100' "$st" 100

# --- times and mixtures
rows <<'X'
{"id": "a", "language": "en", "text": "<|0.00|> five<|3.00|>"}
{"id": "b", "language": "en", "text": "<|0.00|> five<|3.02|>"}
{"id": "c", "language": "en", "text": "<|0.01|> five<|3.00|>"}
{"id": "d", "language": "en", "text": "<|0.5|> five"}
X
show --timestamps
is 'a text may spell times' "$(line 1)" \
    'a: <|startoftranscript|>⟦<|en|><|transcribe|><|0.00|> five<|3.00|><|endoftext|>⟧'
for n in 2 3 4; do
    like "what is none of the model's is not learnt as letters" "$(line $n)" \
        '^.: error: <\|(3.02|0.01|0.5)\|> is no timestamp .* to <\|3.00\|> in steps'
done
show
is 'without --timestamps it is text' "$(line 2)" \
    'b: <|startoftranscript|>⟦<|en|><|transcribe|><|notimestamps|><|0.00|> five<|3.02|><|endoftext|>⟧'
rows <<'X'
{"id": "a", "language": "en", "segments": [{"start": 0.0, "end": 0.72, "text": " five"}, {"start": 0.76, "end": 1.54, "text": " five"}]}
{"id": "b", "language": "en", "segments": [{"start": 0.8, "end": 0.72, "text": " five"}], "timestamps": true}
{"id": "c", "language": "en", "segments": [{"start": 0, "text": " five"}]}
{"id": "d", "language": "en", "text": "four", "previous_text": "one two three"}
X
show --timestamps
is 'segments become times' "$(line 1)" \
    'a: <|startoftranscript|>⟦<|en|><|transcribe|><|0.00|> five<|0.72|><|0.76|> five<|1.54|><|endoftext|>⟧'
like 'times that go back are refused' "$(line 2)" 'b: error: segment 1 goes from 0.8 to 0.72 s'
like 'and a segment without an end' "$(line 3)" 'c: error: segment 1 lacks a start and end'
like 'rows without times are counted' "$err" '1 rows? ha(s|ve) no times'
tok -q --timestamps
is 'segments go, when they have become times' "$(stream-show "$tmp/tok" | sed -n '1p;4p' | grep -c 'row\|previous')" 0
tok -q --keep
is 'unless --keep' "$(stream-show "$tmp/tok" | grep -c '"row": {"segments": \[\|"row": {"previous_text"')" 2
show --condition-on-prev-probability 1
is 'without timestamps the segments are the text' "$(line 1)" \
    'a: <|startoftranscript|>⟦<|en|><|transcribe|><|notimestamps|> five five<|endoftext|>⟧'
is 'what was said before is read, not learnt' "$(line 4)" \
    'd: <|startofprev|>one two three<|startoftranscript|>⟦<|en|><|transcribe|><|notimestamps|>four<|endoftext|>⟧'
for i in $(seq 400); do echo "{\"id\": $i, \"language\": \"en\", \"text\": \"<|0.00|>x<|0.10|>\"}"; done | rows
show --timestamp-probability 0.3
n=$(grep -c 'transcribe|><|0.00|>x<|0.10|>' "$out") plain=$(grep -c 'notimestamps' "$out")
ok "a mixture keeps its share of times ($n of 400)" test "$n" -gt 90 -a "$n" -lt 150 -a $((n + plain)) = 400
sort "$out" >"$tmp/one"
gcs-fetch -q --shuffle --seed 5 --unit 9 "$tmp/rows.jsonl" >"$tmp/in"
show --timestamp-probability 0.3
sort "$out" >"$tmp/two"
ok 'which depends on the id alone, not on order' cmp "$tmp/one" "$tmp/two"
show --timestamp-probability 0.3 --seed 1
sort "$out" >"$tmp/two"
ok 'and on the seed' sh -c '! cmp -s "$1" "$2"' - "$tmp/one" "$tmp/two"

# --- English-only
mkdir "$tmp/en"
cp "$W/config.json" "$W/tokenizer.json" "$tmp/en"
echo '{"is_multilingual": false}' >"$tmp/en/generation_config.json"
rows <<'X'
{"id": "a", "text": "five", "language": "en"}
{"id": "b", "text": "five", "language": "de"}
X
run tokenize --model "$tmp/en" --show -i "$tmp/in"
is 'English-only models have neither language nor task' "$(line 1)" \
    'a: <|startoftranscript|>⟦<|notimestamps|>five<|endoftext|>⟧'
like 'and know no other language' "$(line 2)" "b: error: language 'de': this model knows English only"
run tokenize --model "$tmp/en" --show --task translate -i "$tmp/in"
is 'nor translation: 100' "$st" 100

# --- misuse
tok --language klingon
is 'an unknown --language is 100' "$st" 100
tok --language englsh
like 'and names the nearest' "$err" "--language: unknown language 'englsh'; the nearest is 'english'"
run tokenize -i "$tmp/in"
is 'without --model: 100' "$st" 100
run tokenize --model "$tmp/none" -i "$tmp/in"
is 'a model that is not there: 100' "$st" 100
mkdir "$tmp/broken"
echo '{"model_type": "whisper"}' >"$tmp/broken/config.json"
run tokenize --model "$tmp/broken" -i "$tmp/in"
is 'a model without tokenizer.json: 100' "$st" 100
like 'which is named' "$err" 'broken/tokenizer.json'
head -c 9999 "$W/tokenizer.json" >"$tmp/broken/tokenizer.json"
run tokenize --model "$tmp/broken" -i "$tmp/in"
is 'a tokenizer.json cut short: 100' "$st" 100
like 'with the byte' "$err" "broken/tokenizer.json': .* at byte 9999"
echo '{"model_type": "llama"}' >"$tmp/broken/config.json"
run tokenize --model "$tmp/broken" -i "$tmp/in"
like 'a model that is none of ours' "$err" "model_type 'llama' is none of whisper, gemma3"
tok --loss-on everything
is 'a choice that is none: 100' "$st" 100

# --- Gemma
mkdir "$tmp/g"
xz -dc "$golden/tokenizer-gemma3/tokenizer.json.xz" >"$tmp/g/tokenizer.json"
echo '{"model_type": "gemma3_text", "vocab_size": 262144, "max_position_embeddings": 32768}' >"$tmp/g/config.json"
W=$tmp/g
rows <<'X'
{"id": "two", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": " c "}, {"role": "assistant", "content": "d\ne"}]}
{"id": "pair", "prompt": "Why?", "completion": "So."}
{"id": "text", "text": "just this"}
{"id": "silent", "messages": [{"role": "user", "content": "Anyone?"}]}
{"id": "roles", "messages": [{"role": "assistant", "content": "Me first."}]}
{"id": "content", "messages": [{"role": "user", "content": 5}]}
{"id": "image", "text": "an <image_soft_token>"}
{"id": "nothing", "other": 1}
X
show
is 'answers are learnt, with the end of their turn' "$(line 1)" \
    'two: <bos><start_of_turn>user\nBe brief.\n\na<end_of_turn>\n<start_of_turn>model\n⟦b<end_of_turn>\n⟧<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n⟦d\ne<end_of_turn>\n⟧'
is 'so is one of a pair' "$(line 2)" \
    'pair: <bos><start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n⟦So.<end_of_turn>\n⟧'
is 'of a bare text, all' "$(line 3)" 'text: <bos>⟦just this⟧'
like 'a row without an answer is an error' "$(line 4)" '^silent: error: nothing of it is learnt'
like 'roles must alternate' "$(line 5)" "^roles: error: message 1 is by 'assistant': roles must alternate"
like 'content is text or a list' "$(line 6)" '^content: error: message 1: its content is neither'
like 'a token past the embedding' "$(line 7)" \
    "^image: error: token '<image_soft_token>' is 262144, past the model's vocabulary of 262144"
like 'a row with nothing' "$(line 8)" "^nothing: error: none of 'messages'"
show --loss-on all
is '--loss-on all learns the question too' "$(line 2)" \
    'pair: <bos>⟦<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\nSo.<end_of_turn>\n⟧'
tok -q
like 'messages go, when they have become tokens' "$(list | head -1)" 'fields=id,input_ids,labels$'
tok -q --keep
like 'unless --keep' "$(list | head -1)" 'fields=id,messages,input_ids,labels$'
show --max-length 8 --over-long cut
is 'a long question is shortened from the left' "$(line 2)" 'pair: <bos><start_of_turn>model\n⟦So.<end_of_turn>\n⟧'
like 'and counted' "$err" 'over-long rows: 2 cut'
show --max-length 2 --over-long cut
like 'an answer is not cut' "$(line 2)" '^pair: error: the last answer to the end of the row is 4 tokens'
is 'but a text is' "$(line 3)" 'text: <bos>⟦just⟧'
echo '{"chat_template": "<|im_start|>{{ messages }}"}' >"$W/tokenizer_config.json"
show
like 'a model with another chat template is told of' "$err" 'has a chat template of its own'
show --language en
is 'Whisper'"'"'s options are not for Gemma: 100' "$st" 100
plan
