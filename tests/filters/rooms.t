#!/bin/sh
# tests/filters/rooms.t - who may include whom (README.md, Where to read on)
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1
included() { grep -rh '^#include "' "$1" | sed 's/^#include "\([^"]*\)".*/\1/' | grep "^$2" | sort -u; }

is 'libcommon includes nothing of kernels or cmd' "$(included libcommon 'kernels/\|cmd/')" ''
is 'kernels include nothing of libcommon or cmd' "$(included kernels 'libcommon/\|cmd/')" ''
rooms=$(sed -n '/^| `libcommon\/`/s/([^)]*)//gp' README.md | grep -o '`[a-z0-9]*`' | tr -d '`')
is 'README.md names the rooms of libcommon' "$(echo "$rooms" | sort)" "$(ls libcommon)"
below=
for room in $rooms; do
    below="$below${below:+\\|}$room"
    is "$room includes only itself and the rooms named before it" "$(included "libcommon/$room" libcommon/ | grep -v "^libcommon/\($below\)/")" ''
done
plan
