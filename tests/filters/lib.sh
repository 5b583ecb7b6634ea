# tests/filters/lib.sh - TAP for tests of programs; source it: . "$(dirname "$0")/lib.sh"
#
#   run CMD...              runs it; stdout in $out (a file), stderr in $err (text), status in $st
#   is NAME GOT WANT        equal texts
#   like NAME TEXT PATTERN  TEXT matches the extended regular expression
#   ok NAME CMD...          CMD succeeds
#   skip NAME WHY           counted, not run
#   plan                    last line of every test
# $data is tests/data, $golden tests/golden, $tmp a fresh directory that goes away.

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
data=$top/tests/data golden=$top/tests/golden
export LC_ALL=C.UTF-8
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
out=$tmp/out err= st=0 tap_n=0 tap_bad=0

result() { # result PASS NAME
    tap_n=$((tap_n + 1))
    if [ "$1" = 0 ]; then echo "ok $tap_n - $2"; else tap_bad=$((tap_bad + 1)); echo "not ok $tap_n - $2"; fi
}
run() { st=0; "$@" >"$out" 2>"$tmp/err" </dev/null || st=$?; err=$(cat "$tmp/err"); }
runsh() { st=0; sh -c "$1" >"$out" 2>"$tmp/err" </dev/null || st=$?; err=$(cat "$tmp/err"); }
is() {
    if [ "$2" = "$3" ]; then result 0 "$1"; else result 1 "$1"; printf '# got:  %s\n# want: %s\n' "$2" "$3" | sed '2,$s/^\([^#]\)/# \1/'; fi
}
like() {
    if printf '%s\n' "$2" | grep -Eq -e "$3"; then result 0 "$1"; else result 1 "$1"; printf '%s\n' "$2" | sed 's/^/# got:  /'; echo "# like: $3"; fi
}
ok() { name=$1; shift; if "$@" >"$tmp/ok" 2>&1; then result 0 "$name"; else result 1 "$name"; sed 's/^/# /' "$tmp/ok"; fi; }
skip() { tap_n=$((tap_n + 1)); echo "ok $tap_n - $1 # SKIP $2"; }
plan() { echo "1..$tap_n"; [ "$tap_bad" = 0 ] || exit 1; }
