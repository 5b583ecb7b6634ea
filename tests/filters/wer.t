#!/bin/sh
# tests/filters/wer.t - wer as a user meets it
. "$(dirname "$0")/lib.sh"

cat >"$tmp/rows" <<'X'
{"id": "one", "text": "the cat sat on a mat", "reference": "the cat sat on the mat", "tokens": [1, 2]}
{"id": "two", "text": "Colour twenty one!", "reference": "colour 21"}
{"id": "three", "text": "same", "reference": "same"}
X
run wer "$tmp/rows"
is 'rates of a corpus' "$st" 0
is 'words' "$(sed -n 1p "$out")" 'WER 44.44 %: 4 errors in 9 words (3 substitutions, 0 deletions, 1 insertions)'
is 'characters' "$(sed -n 2p "$out")" 'CER 42.86 %: 15 errors in 35 characters'
is 'the normaliser is named' "$(sed -n 3p "$out")" 'normalizer none; 3 rows compared'
is 'the worst row first' "$(sed -n 5p "$out")" '  "two": 3 of 2'
full "wer '$tmp/rows'"
runsh "trap '' PIPE; (sleep 0.3; wer '$tmp/rows'; echo \$? >&2) | true"
is 'a reader that leaves early has seen enough' "$err" 0
run wer --worst 0 "$tmp/rows"
is '--worst 0 shows none' "$(wc -l <"$out" | tr -d ' ')" 3

run wer --json --normalizer english --worst 1 "$tmp/rows"
is '--json, and numbers normalised' "$(cat "$out")" \
    '{"wer": 0.1111111111111111, "cer": 0.08571428571428572, "substitutions": 1, "deletions": 0, "insertions": 0, "words": 9, "character_errors": 3, "characters": 35, "rows": 3, "failed": 0, "unscored": 0, "normalizer": "english", "spelling": false, "languages": [], "worst": [{"id": "one", "errors": 1, "words": 6, "reference": "the cat sat on the mat", "text": "the cat sat on a mat"}]}'
echo '{"colour": "color"}' >"$tmp/normalizer.json"
echo '{"text": "color", "reference": "colour"}' >"$tmp/colour"
run wer --normalizer english --spelling "$tmp/normalizer.json" "$tmp/colour"
like 'a spelling table' "$(cat "$out")" '^WER 0.00 %'
like 'is named' "$(cat "$out")" 'normalizer english, with spellings'
echo '{"text": "Ça, va (eh)", "reference": "ca va"}' >"$tmp/marks"
run wer --json --normalizer basic "$tmp/marks"
like 'basic keeps marks' "$(cat "$out")" '"wer": 0.5'
run wer --json --normalizer basic --remove-diacritics "$tmp/marks"
like 'or not' "$(cat "$out")" '"wer": 0,'
run wer --json --normalizer basic --split-letters "$tmp/marks"
like 'letters as words' "$(cat "$out")" '"words": 4'
run sh -c 'cat "$1" | wer --json --out "$2"' - "$tmp/rows" "$tmp/result"
like 'standard input, and --out' "$(cat "$tmp/result")" '^\{"wer": 0.4444'

{ cat "$tmp/rows"; echo '{"id": "bad", "error": {"stage": "audio-decode", "message": "no"}}'; echo
  echo '{"text": "x", "reference": null}'; } >"$tmp/mixed"
run wer "$tmp/mixed"
is 'few failed rows are a success' "$st" 0
is 'and counted' "$(sed -n 3p "$out")" 'normalizer none; 3 rows compared, 1 failed, 1 without a reference'
run wer --max-errors 0 "$tmp/mixed"
is 'more than allowed is 1' "$st" 1
like 'and said' "$err" '^wer: 1 of 5 rows failed, more than --max-errors 0$'

cat >"$tmp/tongues" <<'END'
{"id": "a", "text": "one two", "reference": "one too", "language": "en"}
{"id": "b", "text": "eins", "reference": "eins", "language": "de"}
{"id": "c", "text": "three four", "reference": "three four", "language": "en"}
{"id": "d", "text": "x", "reference": "y"}
END
run wer "$tmp/tongues"
is 'each language has its rate' "$(sed -n 4,5p "$out")" '"en": WER 25.00 %, CER 5.88 %, 2 rows
"de": WER 0.00 %, CER 0.00 %, 1 rows'
run wer --json "$tmp/tongues"
like 'in JSON too' "$(cat "$out")" \
    '"languages": \[\{"language": "en", "wer": 0.25, .*"words": 4, "rows": 2\}, \{"language": "de", "wer": 0, "cer": 0, "words": 1, "rows": 1\}\]'

{ head -1 "$tmp/rows"; echo '{"text": "cut'; } >"$tmp/broken"
run wer "$tmp/broken"
is 'a broken line is 100' "$st" 100
like 'and named' "$err" "^wer: $tmp/broken:2: not JSON: "
echo '["text"]' >"$tmp/list"
run wer "$tmp/list"
like 'a line that is no object' "$err" ':1: not an object'
echo '{"reference": "a"}' >"$tmp/none"
run wer "$tmp/none"
like 'a row without text' "$err" ":1: no 'text': is it what generate wrote\\?"
run wer /dev/null
is 'no rows are 100' "$st" 100
like 'with the reason' "$err" "no row with a 'reference'"
run wer "$tmp/missing"
like 'a missing file' "$err" "cannot read '$tmp/missing': No such file"
run wer --normalizer french "$tmp/rows"
is 'another normaliser is 100' "$st" 100
run wer --spelling "$tmp/normalizer.json" "$tmp/rows"
is 'spellings without english are 100' "$st" 100
run wer --normalizer english --spelling "$tmp/rows" "$tmp/rows"
is 'a table that is none is 100' "$st" 100
run wer --normaliser english "$tmp/rows"
is 'an unknown option names the nearest' "$err" "wer: unknown option '--normaliser'; the nearest is '--normalizer'"
plan
