#!/usr/bin/env bash
# Serves an embedded store from one process, and writes and reads it from
# others; then kills the server the hard way, starts it again on the same
# directory, and reads what was written before.
set -euo pipefail
cd "$(dirname "$0")/.."
mld=bin/mld
dir=$(mktemp -d)
server=

cleanup() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || :; while kill -0 "$server" 2>/dev/null; do :; done; fi
  rm -rf "$dir"
}
trap cleanup EXIT

# serve starts a server on a port that is free, and waits for the line that says
# where it listens.
serve() {
  rm -f "$dir/ready"
  mkfifo "$dir/ready"
  "$mld" serve "$dir/db" --listen tcp://127.0.0.1:0 >"$dir/ready" &
  server=$!
  disown # so that its end by kill -9 is not announced
  read -r line <"$dir/ready"
  echo "   $line"
  url=$(grep -oE 'tcp://[^ ]+' <<<"$line")
}

show() {
  echo "\$ $*"
  local output
  output=$("$@")
  if [ -n "$output" ]; then sed 's/^/   /' <<<"$output"; fi
}

echo "\$ $mld serve $dir/db --listen tcp://127.0.0.1:0 &"
serve
show "$mld" --db "$url" put greeting 'hello from another process'
show "$mld" --db "$url" get greeting
echo "\$ kill -9 the server, and start it again"
kill -9 "$server"
while kill -0 "$server" 2>/dev/null; do :; done
serve
show "$mld" --db "$url" get greeting
echo "\$ $mld --db $dir/db get greeting   # the directory itself, which the server has open"
"$mld" --db "$dir/db" get greeting 2>&1 | sed 's/^/   /' || :
