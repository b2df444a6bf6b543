#!/usr/bin/env bash
# Runs every fuzz target of the module for the time that is given (60s), one
# after the other, and stops at the first finding.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60s}

count=0
while IFS=: read -r file target; do
  echo "== ./$(dirname "$file") $target ($time)"
  go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time"
  count=$((count + 1))
done < <(git grep -oE 'func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed 's/func //')
echo "$count fuzz targets, no finding"
