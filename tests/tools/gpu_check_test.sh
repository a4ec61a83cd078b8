#!/usr/bin/env bash
# scripts/gpu_check as far as a machine without a GPU can take it: gpu_check_test.sh BUILD_DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 out=$1/gpu_check_test
fail() { echo "gpu_check_test: $1"; exit 1; }
# Runs it, expects the exit code and a word of what it says.
expect() {  # code word argument ..
  local code=0 said
  said=$(scripts/gpu_check "${@:3}" --out "$out" 2>&1) || code=$?
  [ $code = "$1" ] && [[ $said == *"$2"* ]] || fail "'${*:3}' gave $code and: $said"
}

expect 2 "Fails where there is no GPU" --nonsense
code=0
said=$(scripts/gpu_check --only 2>&1) || code=$?
[ $code = 2 ] && [[ $said == *"needs a value"* ]] || fail "'--only' alone gave $code and: $said"
expect 2 "checks, sanitizer or bench" --only everything
expect 1 "make it with scripts/gpu_check --build" --bin /nonexistent
[ -e /dev/nvidiactl ] || expect 1 "nothing was checked: " --bin "$build"

expect 0 "all passed" --rehearse --bin "$build"
for line in "ops  *passed  *[1-9][0-9]* tests" "engine  *passed  *[1-9]" "bench  *passed" "linear int4" "attention int8" "step int4"; do
  grep -q "^$line" "$out/table.txt" || fail "the table has no '$line'"
done
if command -v python3 >/dev/null; then
  python3 - "$out/gpu_check.json" <<'PYTHON' || fail "the JSON is not as it should be"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["mode"] == "rehearse" and {c["name"] for c in report["checks"]} == {"ops", "engine", "bench"}, report["checks"]
assert all(c["result"] == "passed" for c in report["checks"])
assert len(report["bench"]["lines"]) >= 9 and all(line["us"] > 0 for line in report["bench"]["lines"])
PYTHON
fi
# A check that fails, or that finds nothing to run, is a failure of the whole.
expect 1 "something FAILED" --rehearse --bin "$build" --only bench --checkpoint /nonexistent
grep -q '"result": "FAILED"' "$out/gpu_check.json" || fail "the JSON does not say that the bench failed"
