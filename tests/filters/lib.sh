# tests/filters/lib.sh - TAP for tests of programs; source it: . "$(dirname "$0")/lib.sh"
#
#   run CMD...              runs it; stdout in $out (a file), stderr in $err (text), status in $st
#   is NAME GOT WANT        equal texts
#   like NAME TEXT PATTERN  TEXT matches the extended regular expression
#   ok NAME CMD...          CMD succeeds
#   skip NAME WHY           counted, not run
#   full TEXT               the command's output onto a full disk is an error that names it
#   wait_until SECONDS CMD...  until CMD succeeds; false, and told, when it never does.  Machines may be ten
#                           times slower than yours: no wait without a bound, none that a slow one exceeds
#   texts N                 a manifest of N texts        cards    one of four sounds
#   ports N                 the first of N ports that are free
#   change EXPRESSION FILE  sed, in place             resize BYTES FILE   cut off, or longer by a hole
#   digest                  SHA-256 of what it reads  mode_of FILE        its permissions, octal
#   $within SECONDS CMD...  ended after that time, with status 124
#   bg NAME CMD...          in the background; stdin is $from, its words go to $tmp/NAME.out and $tmp/NAME.err
#   left NAME...            waits for these to end; their statuses are in $left, the last words of those that failed are told
#   stop NAME...            kills these, as does a machine that fails
#   plan                    last line of every test
# The system's own tools for these differ from one to the next.  $data is tests/data, $golden tests/golden,
# $tmp a fresh directory that goes away.

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
data=$top/tests/data golden=$top/tests/golden
case $(uname -s) in Darwin) export LC_ALL=en_US.UTF-8 ;; *) export LC_ALL=C.UTF-8 ;; esac
within="perl $here/within.pl"
umask 022
# What does not depend on the build need not be repeated as often under sanitizers: [ -n "$sanitized" ]
case ${BUILD:-} in *asan*) sanitized=yes ;; *) sanitized= ;; esac
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
out=$tmp/out err= st=0 tap_n=0 tap_bad=0

result() { # result PASS NAME
    tap_n=$((tap_n + 1))
    if [ "$1" = 0 ]; then echo "ok $tap_n - $2"; else tap_bad=$((tap_bad + 1)); echo "not ok $tap_n - $2"; fi
}
run() { st=0; "$@" >"$out" 2>"$tmp/err" </dev/null || st=$?; err=$(cat "$tmp/err"); }
runsh() { st=0; sh -c "$1" >"$out" 2>"$tmp/err" </dev/null || st=$?; err=$(cat "$tmp/err"); }
full() {
    if [ -w /dev/full ]; then
        runsh "$1 >/dev/full"
        is "a full disk is one line, and status 111: ${1%% *}" "$st ${err#*: }" \
            '111 cannot write standard output: No space left on device'
    else
        skip "a full disk is one line: ${1%% *}" 'no /dev/full'
    fi
}
is() {
    if [ "$2" = "$3" ]; then result 0 "$1"; return; fi
    result 1 "$1"
    printf '# got:  %s\n# want: %s\n' "$2" "$3" | sed '2,$s/^\([^#]\)/# \1/'
}
like() {
    if printf '%s\n' "$2" | grep -Eq -e "$3"; then result 0 "$1"; return; fi
    result 1 "$1"
    printf '%s\n' "$2" | sed 's/^/# got:  /'
    echo "# like: $3"
}
ok() { name=$1; shift; if "$@" >"$tmp/ok" 2>&1; then result 0 "$name"; else result 1 "$name"; sed 's/^/# /' "$tmp/ok"; fi; }
wait_until() {
    local seconds="$1" end="$(($(date +%s) + $1))"
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || { echo "# waited $seconds s in vain for: $*" >&2; return 1; }
        sleep 0.05
    done
}
texts() { awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "{\"id\": \"s%d\", \"text\": \"row %d\"}\n", i, i }'; }
cards() {
    for n in 001 002 003 004; do
        printf '{"id": "%s", "audio": "%s/speech/cards/%s.wav", "text": "card %s", "language": "en"}\n' $n "$data" $n $n
    done
}
change() { sed "$1" "$2" >"$tmp/changed" && cat "$tmp/changed" >"$2"; }
resize() {
    perl -e 'open my $f, "+>>", $ARGV[1] or die "$ARGV[1]: $!\n";
             truncate $f, $ARGV[0] or die "$ARGV[1]: $!\n"' "$1" "$2"
}
digest() { perl -MDigest::SHA -e 'print Digest::SHA->new(256)->addfile(*STDIN)->hexdigest'; }
mode_of() { perl -e 'printf "%o", (stat $ARGV[0])[2] & 07777' "$1"; }
# Below those that a system hands out itself.
ports() {
    perl -MIO::Socket::INET -e '
        for (1 .. 1000) {
            my $first = 10000 + int rand 20000;
            my @held = map {
                IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $first + $_, Proto => "tcp", Listen => 1) || ()
            } 0 .. $ARGV[0] - 1;
            if (@held == $ARGV[0]) { print $first; exit }
        }
        exit 1' "$1"
}
bg() {
    name=$1
    shift
    rm -f "$tmp/$name.pid" "$tmp/$name.st"
    ("$@" >"$tmp/$name.out" 2>"$tmp/$name.err" <"${from:-/dev/null}" &
     echo $! >"$tmp/$name.pid"
     wait $!
     echo $? >"$tmp/$name.st") 2>/dev/null &
    eval "job_$name=$!"
}
left() {
    left=
    for who in "$@"; do
        eval "wait \$job_$who"
        left="$left$(cat "$tmp/$who.st") "
        [ "$(cat "$tmp/$who.st")" = 0 ] || sed "s/^/# $who: /" "$tmp/$who.err" | tail -n 3
    done
}
stop() {
    for who in "$@"; do
        wait_until 60 test -s "$tmp/$who.pid" && kill -KILL "$(cat "$tmp/$who.pid")" 2>/dev/null
        eval "wait \$job_$who"
    done
}
skip() { tap_n=$((tap_n + 1)); echo "ok $tap_n - $1 # SKIP $2"; }
plan() { echo "1..$tap_n"; [ "$tap_bad" = 0 ] || exit 1; }
