#!/usr/bin/env bash
# Compares a few benchmarks of each layer with those of an earlier commit, BASE, or
# else the one before HEAD, and prints what benchstat makes of it. It judges
# nothing: on a shared machine a time says little.
#
#   scripts/benchstat.sh [BASE]
set -euo pipefail
cd "$(dirname "$0")/.."

base=$(git rev-parse --verify --quiet "${1:-HEAD~1}^{commit}") || {
  echo "benchstat: there is no earlier commit here to compare with"
  exit 0
}
tmp=$(mktemp -d)
trap 'git worktree remove --force "$tmp/base" 2>/dev/null; rm -rf "$tmp"' EXIT
git worktree add --quiet --detach "$tmp/base" "$base"

# some runs the benchmarks of a pattern of one package. Those that the earlier
# commit lacks, or cannot build, are left out there.
some() { go test -run '^$' -benchmem -benchtime 30ms -bench "$2" "$1" || true; }

# measure runs all of them once, in the folder of either commit.
measure() (
  cd "$1"
  some ./wire '^Benchmark(EncodeRequest|DecodeRequest|DecodeResponse)$/^(Get|Put|Value)$'
  some ./server '^BenchmarkServer$/^mem$/^(get|put)$/^64$'
  some ./client '^Benchmark(Get|Put)$/^64$/^memory$'
  some ./store/memstore '^BenchmarkGetPinned$'
  some ./store/pebblestore '^Benchmark(GetPinned|PutNoSync)$'
)

# In turn, so that what the machine does meanwhile meets both.
for _ in 1 2 3 4 5 6; do
  measure "$tmp/base" >>"$tmp/base.txt"
  measure . >>"$tmp/head.txt"
done
go tool -modfile=tools/go.mod benchstat "base=$tmp/base.txt" "head=$tmp/head.txt"
