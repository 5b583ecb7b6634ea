# tests/fault/lib.sh - a fault server for tests of programs; source it after tests/filters/lib.sh
#
#   server_start ARGS...   serves $tmp/root, its address in $server (HOST:PORT)
#   server_stop
#   fault ON NAME [TIMES [PATH]]   see tests/fault/server.py
#   fault_clear
#   stats                  its counts, as JSON

tool=${BUILD:-$top/build/obj}/unit/store_test
server_pid=
server_start() {
    mkdir -p "$tmp/root/b"
    rm -f "$tmp/port"
    python3 -B "$top/tests/fault/server.py" --root "$tmp/root" --port-file "$tmp/port" --tool "$tool" "$@" >&2 &
    server_pid=$!
    wait_until 100 test -f "$tmp/port" || exit 1
    server=127.0.0.1:$(cat "$tmp/port")
}
server_stop() { [ -z "$server_pid" ] || { kill "$server_pid"; wait "$server_pid"; } 2>/dev/null; server_pid=; }
fault() { "$tool" get "http://$server/fault?on=$1&name=$2&times=${3:-1}&path=${4:-}" >/dev/null; }
fault_clear() { "$tool" get "http://$server/fault?clear=1" >/dev/null; }
stats() { "$tool" get "http://$server/stats"; }
trap 'server_stop; rm -rf "$tmp"' EXIT
