#!/bin/sh
# tests/filters/rooms.t - who may include whom (README.md, Where to read on)
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1
included() { grep -rh '^#include "' "$1" | sed 's/^#include "\([^"]*\)".*/\1/' | grep "^$2" | sort -u; }

is 'libcommon includes nothing of kernels or cmd' "$(included libcommon 'kernels/\|cmd/')" ''
is 'kernels include nothing of libcommon or cmd' "$(included kernels 'libcommon/\|cmd/')" ''
is 'what programs share includes nothing of a program' "$(included cmd/shared cmd/ | grep -v '^cmd/shared/')" ''
for folder in cmd/*/; do
    program=$(basename "$folder")
    [ "$program" = shared ] ||
        is "$program includes nothing of another program" \
            "$(included "cmd/$program" cmd/ | grep -v "^cmd/\(shared\|$program\)/")" ''
done
is 'a program of one file includes nothing of another' \
    "$(cat cmd/*.c | sed -n 's/^#include "\(cmd[^"]*\)".*/\1/p' | grep -v '^cmd/shared/')" ''

for folder in libcommon cmd/shared cmd/train-step; do
    rooms=$(sed -n "\\,^| \`$folder/\`,s/([^)]*)//gp" README.md | cut -d'|' -f3 | grep -o '`[a-z0-9]*`' | tr -d '`')
    is "README.md names the rooms of $folder" "$(echo "$rooms" | sort)" \
        "$(for room in "$folder"/*/; do basename "$room"; done)"
    below=
    for room in $rooms; do
        below="$below${below:+\\|}$room"
        is "$folder: $room includes only itself and the rooms named before it" \
            "$(included "$folder/$room" "$folder/" | grep -v "^$folder/\($below\)/")" ''
    done
done
plan
