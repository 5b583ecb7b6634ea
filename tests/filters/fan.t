#!/bin/sh
# tests/filters/fan.t - fan: many copies, one order; what dies is tried again, what kills is named
. "$(dirname "$0")/lib.sh"

texts 400 >"$tmp/m.jsonl"
gcs-fetch "$tmp/m.jsonl" >"$tmp/a.stream"
gcs-fetch --unit 9 "$tmp/m.jsonl" >"$tmp/a9.stream"
ok "there is something to pass on" test -s "$tmp/a.stream" -a -s "$tmp/a9.stream"
bad="perl $here/misbehave.pl"
errors() { stream-show | sed -n 's/.*"id": "\([^"]*\)", "error": {"stage": "\([^"]*\)".*/\1 \2/p' | tr '\n' ' '; }

for j in 1 3 7; do
    ok "$j copies give the bytes of one" sh -c "fan -j $j 'cat | cat' <'$tmp/a.stream' | cmp - '$tmp/a.stream'"
done
ok 'also units of several samples' sh -c "fan -j 3 cat <'$tmp/a9.stream' | cmp - '$tmp/a9.stream'"
cat >"$tmp/slow.sh" <<'END'
case $$ in *[02468]) sleep 0.1 ;; esac
exec cat
END
ok 'and copies of different speed' sh -c "fan -j 4 'sh $tmp/slow.sh' <'$tmp/a.stream' | cmp - '$tmp/a.stream'"
runsh "cat '$tmp/a.stream' '$tmp/a9.stream' | fan -j 2 cat | stream-show --stats"
like 'a stream behind a stream is legal' "$(cat "$out")" '"headers": 2, "units": 445, "samples": 800, .*"complete": true'
runsh "head -c 9000 '$tmp/a.stream' | fan -j 2 cat >'$tmp/cut'"
like 'a cut input is an error' "$st $err" '^111 .*cut off'
like 'after all that was whole' \
    "$(stream-show --stats "$tmp/cut" 2>/dev/null </dev/null || stream-show --stats <"$tmp/cut" 2>/dev/null)" \
    '"units": 1[0-9][0-9],'
perl -e 'local $/; open F, "<", $ARGV[0]; $_ = <F>; /row 200/g; substr($_, pos() - 1, 1) = "1"; print' "$tmp/a.stream" \
    >"$tmp/damaged"
for j in 1 3; do
    run fan -j $j cat --in "$tmp/damaged"
    like "a damaged body is told once, with input, place and unit ($j copies)" "$st $err" \
        "^100 fan: '$tmp/damaged': byte [0-9]+: unit 200: checksum of the body is [0-9a-f]+, its control map says [0-9a-f]+\$"
    is 'and all before it went out' \
        "$(head -c "$(wc -c <"$out")" "$tmp/a.stream" | cmp - "$out" &&
           stream-show --stats <"$out" 2>/dev/null | grep -o '"units": [0-9]*')" '"units": 200'
done
cp "$tmp/a.stream" "$tmp/kept"
run fan -j 2 cat --in "$tmp/m.jsonl" --out "$tmp/kept"
like 'what is no stream is refused' "$st $err" '^100 '
ok 'and the output file is as it was' cmp "$tmp/kept" "$tmp/a.stream"
run fan -j 2 cat --in "$tmp/a9.stream" --out "$tmp/kept"
ok 'which is emptied once there is something to put' cmp "$tmp/kept" "$tmp/a9.stream"
runsh "fan -j 2 cat <'$tmp/a.stream' | head -c 2000 >/dev/null; echo fan ended"
like 'a reader that leaves ends it quietly' "$(cat "$out")$err" '^fan ended$'

perl -e 'printf qq({"id": "s%d", "text": "%s"}\n), $_, "x" x 900 for 1 .. 30000' | gcs-fetch -q - >"$tmp/many.stream"
ok 'more units than the window are no matter' sh -c "fan -j 2 cat <'$tmp/many.stream' | cmp - '$tmp/many.stream'"

# --- configuration ---------------------------------------------------------------------
run fan -j 2 nosuch-filter --in "$tmp/a.stream"
is 'a program that is not there is told once, whatever the copies' "$st $err" \
    "100 fan: cannot run 'nosuch-filter': No such file or directory"
run fan -j 2 'cat | nosuch-filter | cat' --in "$tmp/a.stream"
is 'also in the midst' "$st $err" "100 fan: cannot run 'nosuch-filter': No such file or directory"
run fan -j 0 cat --in "$tmp/a.stream"
is '-j 0 is a copy for each processor, as the help says' "$st $err $(cmp "$out" "$tmp/a.stream")" '0  '
runsh 'fan -j 1 cat <&-'
is 'an input that cannot be read is named' "$st $err" '111 fan: cannot read standard input: Bad file descriptor'
head -c 2000 "$tmp/a.stream" >"$tmp/cut.stream"
run fan -j 1 cat --in "$tmp/cut.stream"
is 'so is one that is cut off' "$st $err" "100 fan: '$tmp/cut.stream' is cut off: the file is not complete"
perl -e 'printf qq({"id": "s%d", "text": "%s"}\n), $_, "x" x 33000 for 1 .. 400' | gcs-fetch -q - >"$tmp/large.stream"
cat >"$tmp/blind.pl" <<'END'
# writes a stream in pieces, and reads nothing
local $/;
open my $in, '<', $ARGV[0];
my $stream = <$in>;
while (length $stream) { syswrite STDOUT, substr $stream, 0, 33000, ''; select undef, undef, undef, 0.002 }
sleep 9;
END
run fan -j 1 "perl $tmp/blind.pl $tmp/large.stream" --in "$tmp/large.stream"
is 'one that answers what it has not read is no filter' "$st $err" \
    "100 fan: 'perl' gives units that it was not given: it is no filter"
run fan -j 2 'cat | sh -c "exit 3" | cat' --in "$tmp/a.stream"
like 'the death of a stage in the midst is seen' "$st $(echo "$err" | tail -n 1)" "'sh' ended with status 3"
for words in 'cat > x' 'a; b' 'cat |' '| cat' 'cat "x' '$x' ''; do
    run fan "$words" --in "$tmp/a.stream"
    like "'$words' is refused, not guessed" "$st" '^100$'
done
run fan -j 1 "sh -c 'test \"\$1\" = \"a b|c\" && exec cat' x \"a b|c\"" --in "$tmp/a.stream"
is 'quotes keep words together' "$st$err" 0

# --- what kills ---------------------------------------------------------------------------
sed 's/row 1[05]"/segv"/; s/row 33"/exit7"/; s/row 399"/segv"/; s/row 0"/segv"/' "$tmp/m.jsonl" >"$tmp/bad.jsonl"
for unit in 1 9; do
    gcs-fetch --unit $unit "$tmp/bad.jsonl" >"$tmp/bad.stream"
    for j in 1 3; do
        fan -q -j $j "$bad | cat" <"$tmp/bad.stream" >"$tmp/made$j" 2>"$tmp/err"
        is "units of $unit, $j copies: each killer is named, with its stage, all others pass" "$? $(errors <"$tmp/made$j")" \
            '0 s0 perl s10 perl s15 perl s33 perl s399 perl '
    done
    ok "and the bytes do not depend on who held what (units of $unit)" cmp "$tmp/made1" "$tmp/made3"
done
like 'the error says how' "$(stream-show <"$tmp/made1")" 'killed by signal 11 \(.*\) at this sample alone, 3 times'
gcs-fetch "$tmp/bad.jsonl" >"$tmp/bad.stream"
ok 'what kills once only is no error' sh -c \
    "fan -q -j 2 '$bad -once $tmp/once' <'$tmp/bad.stream' 2>/dev/null | cmp - '$tmp/bad.stream'"
perl -e 'printf qq({"id": "s%d", "text": "%s%s"}\n), $_, "x" x (2e5 + 5e4 * $_), $_ % 13 == 7 ? "segv" : "" for 0 .. 29' |
    gcs-fetch -q - >"$tmp/large.stream"
fan -q -j 2 --in "$tmp/large.stream" --out "$tmp/made" "$bad" 2>/dev/null
for j in 1 3; do
    is "large units through pipes: the same ($j copies)" \
        "$(cat "$tmp/large.stream" | fan -q -j $j "$bad" 2>/dev/null | cat >"$tmp/made$j"; errors <"$tmp/made$j")" \
        's7 perl s20 perl '
    ok 'and through files, byte for byte' cmp "$tmp/made$j" "$tmp/made"
done
sed 's/row 50"/hang"/' "$tmp/m.jsonl" | gcs-fetch - | fan -q --timeout 2 -j 2 "$bad" 2>/dev/null >"$tmp/hung"
is 'what hangs is killed in time' "$(errors <"$tmp/hung")" 's50 perl '

# --- killed children -----------------------------------------------------------------------
(head -c 5000 "$tmp/a.stream"; sleep 1; tail -c +5001 "$tmp/a.stream") |
    fan -q -j 3 "perl $here/misbehave.pl" >"$tmp/killed" 2>/dev/null &
pid=$!
for n in 1 2 3 4 5 6; do
    sleep 0.12
    kill -9 $(pgrep -P $pid | perl -MList::Util=shuffle -e 'print((shuffle <>)[0] // "")') 2>/dev/null
done
wait $pid
is 'children killed from outside cost nothing' "$? $(cmp "$tmp/killed" "$tmp/a.stream")" '0 '
cp "$here/misbehave.pl" "$tmp/child.pl"
children() { [ "$(pgrep -f "^perl $tmp/child[.]pl" | wc -l)" -eq "$1" ]; }
mkfifo "$tmp/hold"
fan -q -j 2 "perl $tmp/child.pl" <"$tmp/hold" >/dev/null &
pid=$!
exec 3>"$tmp/hold"
head -c 9000 "$tmp/a.stream" >&3      # after its end they would leave by themselves
ok 'a fan has its copies' wait_until 100 children 2
kill -9 $pid
ok 'one that is killed leaves none of them behind' wait_until 100 children 0
exec 3>&-
run fan --cpus 0-x cat --in "$tmp/a.stream"
like 'a bad list of processors is refused' "$st $err" "^100 .*'0-x'"
if [ -e /proc/self/status ]; then
    ok 'the copies are put where they belong' sh -c \
        "fan -j 1 --cpus 0 'sh -c \"grep Cpus_allowed_list /proc/self/status >$tmp/where; exec cat\"' \
             <'$tmp/a.stream' >/dev/null && grep -q '	0\$' '$tmp/where'"
else
    skip 'the copies are put where they belong' 'no /proc to ask'
fi
run fan --metrics "$tmp/nowhere/m" cat --in "$tmp/a.stream"
like 'metrics that cannot be written are told before anything else' "$st $err $([ -s "$out" ] || echo nothing)" \
    "^100 fan: cannot write metrics to '.*nowhere/m': .* nothing\$"
plan
