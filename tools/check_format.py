"""Fails when clang-format 14 would change a C++ source; with --fix changes it.

Other versions lay out differently, so without version 14 there is nothing to compare with: exit code 77, which ctest
shows as skipped.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = 77


def find_clang_format() -> str | None:
    for name in ("clang-format-14", "clang-format"):
        path = shutil.which(name)
        if path and re.search(r"version 14\.", subprocess.run([path, "--version"], capture_output=True, text=True).stdout):
            return path
    return None


def main() -> int:
    clang_format = find_clang_format()
    if clang_format is None:
        print("check_format: clang-format 14 is not here; nothing was checked")
        return SKIPPED
    listed = subprocess.run(["git", "ls-files", "*.h", "*.cc", "*.cu", "*.cuh"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split()
    mode = ["-i"] if "--fix" in sys.argv else ["--dry-run", "-Werror"]
    result = subprocess.run([clang_format, *mode, *listed], cwd=ROOT, capture_output=True, text=True)
    wrong = sorted({line.split(":")[0] for line in result.stderr.splitlines() if "error:" in line})
    print("\n".join(wrong) if wrong else f"check_format: {len(listed)} files are laid out as .clang-format says")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
