# tests/bench/lib.sh - what the benches share: places, the rivals' Python, and the table of goals; sourced, with $0 beside it
#
# Sets top, build, python (the rivals' interpreter: $PENSTOCK_PYTHON, or tests/.venv-bench, which
# tests/bench/run makes, or python3).
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/obj}
python=${PENSTOCK_PYTHON:-$top/tests/.venv-bench/bin/python}
[ -x "$python" ] || [ -n "${PENSTOCK_PYTHON:-}" ] || python=python3

# goal WORK least|most LIMIT VALUE: a line for the table that tests/bench/run ends with; alone, nothing
goal() {
    [ -z "${GOALS:-}" ] || [ -z "$4" ] || printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$GOALS"
}
goals_print() { # goals_print FILE
    awk -F '\t' '{ met = $2 == "least" ? $4 + 0 >= $3 + 0 : $4 + 0 <= $3 + 0
        printf "%-8s %8s  at %-5s %6s  %s\n", met ? "met" : "NOT MET", $4, $2, $3, $1 }' "$1"
}
