#!/bin/sh
# tests/filters/manpages.t - every program has a help that fits a screen and a page that knows every option of it
. "$(dirname "$0")/lib.sh"
programs=$(for f in "$top"/cmd/*.c "$top"/cmd/*/main.c; do [ -e "$f" ] && printf '%s\n' "${f#"$top/cmd/"}"; done |
           sed 's,/main\.c$,,; s,\.c$,,')
words() { sed 's/\\-/-/g' "$1" | tr ' ,()"' '\n'; }    # of a page: its options begin with one dash, as mdoc's Fl takes them

for p in $programs; do
    page=$top/docs/$p.1
    run "$p" --help
    is "$p: --help fits 24 lines of 80 characters" \
       "$st $(awk 'length > 80 || NR > 24 { n++ } END { print n + 0 }' "$out")" '0 0'
    cp "$out" "$tmp/help"
    like "$p: --version is its name and a number" "$("$p" --version)" "^$p [0-9]+\\.[0-9]+\\.[0-9]+\$"
    is "$p: has a page" "$([ -e "$page" ] && echo yes)" yes
    [ -e "$page" ] || continue
    words "$page" >"$tmp/words"
    words "$top/docs/penstock.7" >"$tmp/common"
    lacks=
    for o in $(grep -v "^usage:" "$tmp/help" | grep -Eo '(^|[ (])--[a-z][a-z0-9-]*' | tr -d ' (' | sort -u); do
        case " $(sed -n '/^common:/,$p' "$tmp/help" | tr '\n' ' ') " in *" $o "*) file=common ;; *) file=words ;; esac
        grep -qxe "${o#-}" "$tmp/$file" || lacks="$lacks $o"
    done
    is "$p: its page, or penstock.7 for those of all programs, has each option" "$lacks" ''
    lacks=
    for o in $(grep '^\.It Fl ' "$page" | tr ' ' '\n' | grep -E '^-[a-z][a-z0-9-]+$' | sort -u); do
        grep -Eq -e "(^|[ (])-$o([] .,:)]|\$)" "$tmp/help" || lacks="$lacks -$o"
    done
    is "$p: each option of its page is in its help" "$lacks" ''
    lacks=
    for o in $(grep -Eo '(^|[ (])--[a-z][a-z0-9-]*' "$tmp/help" | tr -d ' (' | sort -u); do
        # split: an answer of mel-features and tokenize that says who does it
        for choice in $(cd "$tmp" && "$p" "$o=no such choice" 2>&1 </dev/null |
                          sed -n 's/.* wants one of \(.*\), not .*/\1/p' | tr '|' ' '); do
            [ "$choice" = split ] || grep -E -e "^\.It Fl (.* )?${o#-}( |\$)" "$page" | words /dev/stdin | grep \
                -qxe "$choice" || lacks="$lacks $o:$choice"
        done
    done
    is "$p: its page has each choice of each option" "$lacks" ''
    is "$p: its page gives synopsis, exit status and examples" \
        "$(grep -Ec '^\.Sh (SYNOPSIS|EXIT STATUS|EXAMPLES)$' "$page")" 3
    like "$p: an unknown option is one line and status 100" "$("$p" --no-such-option 2>&1; echo "$?")" \
        "^$p: unknown option '--no-such-option'"
    is "$p: of status 100" "$("$p" --no-such-option 2>/dev/null; echo $?)" 100
done
if command -v mandoc >/dev/null; then
    for page in "$top"/docs/*.[17]; do
        is "${page##*/}: mandoc finds nothing wrong" "$(mandoc -T lint -W warning "$page")" ''
    done
else
    skip 'pages are checked by mandoc' 'no mandoc'
fi
plan
