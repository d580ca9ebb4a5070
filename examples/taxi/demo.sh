#!/usr/bin/env bash
# Makes a sample, runs the taxi job on it with bin/drover, and compares the result with the input. ROWS changes the sample's size.
set -euo pipefail
cd "$(dirname "$0")"
go=${GO:-go}
drover=$(cd ../.. && pwd)/bin/drover
rows=${ROWS:-3000000}

stamp="data/.rows-$rows"
if [ ! -e "$stamp" ]; then
	rm -rf data
	"$go" run ./generate -out data -rows "$rows"
	touch "$stamp"
fi

printf '\n$ drover run taxi.yaml\n'
"$drover" run taxi.yaml --new

printf '\n$ ls out\n'
ls out
printf '\n$ drover status\n'
"$drover" status --limit 3
printf '\nThe input, filtered and grouped by DuckDB alone, beside what drover wrote:\n'
"$go" run ./check -in data -out out
