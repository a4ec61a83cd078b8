#!/usr/bin/env bash
# Objects built for one instruction set must not define code that others could be linked against: a weak symbol compiled
# for AVX-512 might be the copy the linker keeps for everyone, and an older CPU would stop on it.
# usage: isa_objects_test.sh object...
set -euo pipefail
status=0
for object in "$@"; do
  shared=$(nm -C --defined-only "$object" | grep -E ' [WVu] ' | grep -vE 'runahead::cpu::isa_' || true)
  if [ -n "$shared" ]; then
    echo "$object defines symbols that other objects may share:" >&2
    echo "$shared" >&2
    status=1
  fi
done
[ $# -gt 0 ] || { echo "no objects given" >&2; exit 1; }
exit $status
