#!/bin/sh
# tests/filters/examples.t - the commands of README.md and of the pages' EXAMPLES run as they stand there
#
# Each page's one after another, in a directory where the files that they name are small ones.  Those that
# need a cloud, several hosts, Gemma or a person are passed over; an ellipsis stands for nothing, or for a model.
. "$(dirname "$0")/lib.sh"
micro=$golden/whisper-micro/model

world() { # what the examples speak of, in a fresh directory
    mkdir -p "$1/cv/clips" "$1/out/step-000001"
    cd "$1" || exit
    ln -s "$micro" M
    ln -s "$micro" whisper-tiny
    cp -R "$micro" whisper-small
    echo '{"colour": "color"}' >whisper-small/normalizer.json
    cp "$micro"/* out/step-000001
    ln -s step-000001 out/latest
    printf 'path\tsentence\n' >cv/train.tsv
    echo 'id,audio,text' >train.csv
    for n in 001 002 003 004; do
        cp "$data/speech/cards/$n.wav" cv/clips
        printf '%s.wav\tcard %s\n' $n $n >>cv/train.tsv
        printf '%s,cv/clips/%s.wav,card %s\n' $n $n $n >>train.csv
        printf '{"id": "%s", "audio": "cv/clips/%s.wav", "text": "card %s"}\n' $n $n $n >>train.jsonl
    done
    echo '{"id": "bad", "audio": "train.csv", "text": "no sound"}' >>train.jsonl
    for f in test.jsonl clips.jsonl questions.jsonl; do cp train.jsonl $f; done
    cp train.csv test.csv
    gcs-fetch -q -o raw.stream train.jsonl
    audio-decode -q <raw.stream 2>/dev/null | mel-features -q --model M | tokenize -q --model M --language en \
        >features.stream
}
# What the pages before have made.
more() {
    case $1 in
    replay.1 | stream-show.1) record -q features/ <features.stream ;;
    lora-merge.1) rm -r out && train-step -q --lora-r 2 --model M <features.stream | ckpt-write -q out/ ;;
    esac
}
# commands PAGE: one a line.  Lines of a command end in "|" or "\".
commands() {
    case $1 in
    *.md) sed -n 's/^    //p' "$1" ;;
    *) sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/{ s/^\.Dl \(\$ \)*//p; /^\.Bd/,/^\.Ed/{ /^\.[BE]d/!p; }; }' "$1" | sed 's/\\e$/\\/' ;;
    esac | awk '
        { sub(/ +#.*$/, "") }
        line ~ /[|\\]$/ { sub(/\\$/, "", line); sub(/^ */, " "); line = line $0; next }
        { print line; line = $0 }
        END { print line }' |
        sed 's/train-step \.\.\./train-step --model M | ckpt-write out/
             s/| \.\.\. | record/| audio-decode | mel-features --model M | tokenize --model M | record/
             s/| \.\.\.$/| cat/
             s/ \.\.\. / /'
}
programs=" $(for f in "$top"/cmd/*.c "$top"/cmd/*/main.c; do [ -e "$f" ] && printf '%s\n' "${f#"$top/cmd/"}"; done |
             sed 's,/main\.c$,,; s,\.c$,,' | tr '\n' ' ')"

ran=0
for page in "$top/README.md" "$top"/docs/*.[17]; do
    name=${page##*/} at=$tmp/${page##*/}
    commands "$page" >"$tmp/commands"
    (world "$at" && more "$name")
    while read -r command; do
        case $programs in *" ${command%% *} "*) ;; *) continue ;; esac
        case $command in *gs://* | *tcp://* | *--chat* | *gemma*) continue ;; esac
        case $command in *jq\ *) command -v jq >/dev/null || continue ;; esac
        st=0
        (cd "$at" && exec bash -o pipefail -c "$command") >"$out" 2>"$tmp/err" </dev/null || st=$?
        is "$name: $command" "$st $([ "$st" = 0 ] || cat "$tmp/err")" '0 '
        ran=$((ran + 1))
    done <"$tmp/commands"
done
is 'there are such commands' "$([ "$ran" -ge 20 ] && echo many)" many
plan
