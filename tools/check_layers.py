"""Fails when an include goes against the layers of docs/architecture.md.

Reads every #include "folder/..." of our C++ sources, maps both ends to a layer unit and compares with the
table ALLOWED, which is the one place the rule is written down for machines.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# unit -> units it may include besides itself and core. "kernels" is the interface alone.
ALLOWED = {
    "core": set(),
    "text": set(),
    "proto": set(),
    "kernels": set(),
    "kernels/ref": {"kernels"},
    "kernels/cpu": {"kernels"},
    "kernels/cuda": {"kernels"},
    "kvcache": set(),
    "kvcache/storage": {"kernels"},
    "model": {"kvcache", "kvcache/storage", "kernels"},
    "scheduler": {"kvcache"},
    "speculative": {"model", "kernels"},
    "compress": {"model", "kernels", "text"},
    "engine": {"scheduler", "speculative", "model", "kvcache", "kvcache/storage", "kernels"},
    "server": {"engine", "text", "proto"},
}

# Single files with rights of their own: start-up code builds every part, and makes backends by name.
WIRING = {"model", "kvcache", "kvcache/storage", "kernels", "kernels/cpu", "kernels/registry", "compress", "scheduler",
          "speculative"}
EXCEPTIONS = {
    "server/main.cc": WIRING,
    "server/bench_command.cc": WIRING,
    "server/bench_steps.h": WIRING,
    "server/bench_steps_command.cc": WIRING,
    "server/plan_command.cc": WIRING,
    "server/inspect_command.cc": WIRING,
    "server/eval_command.cc": WIRING,
    "server/quantize_command.h": WIRING,
    "server/quantize_command.cc": WIRING,
    "server/memory_check.h": WIRING,
    "server/memory_check.cc": WIRING,
    "server/draft_model.h": WIRING,
    "server/draft_model.cc": WIRING,
    "server/model_host.h": WIRING,
    "server/model_host.cc": WIRING,
    "server/model_settings.h": WIRING,
    "kernels/registry.cc": {"kernels", "kernels/ref", "kernels/cpu", "kernels/cuda", "kernels/registry"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z0-9_./]+)"')
STORAGE_FILES = {"kvcache/kv_cache.h", "kvcache/kv_cache.cc"}


def unit_of(path: str) -> str | None:
    """The layer unit of a path from the root, or None for what is not ours to check."""
    if path in STORAGE_FILES:
        return "kvcache/storage"
    if path.startswith("kernels/registry"):
        return "kernels/registry"
    parts = path.split("/")
    if parts[0] == "kernels" and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 and parts[0] in ALLOWED else None


def violations(path: str, text: str) -> list[str]:
    """One line for each include of `path` that its layer does not allow."""
    unit = unit_of(path)
    allowed = EXCEPTIONS.get(path, set()) | ALLOWED.get(unit, set()) | {unit, "core"}
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        target = unit_of(match.group(1)) if match else None
        if target is not None and target not in allowed:
            found.append(f"{path}:{number}: {unit} may not include {match.group(1)} ({target})")
    return found


def sources() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.h", "*.cc", "*.cu", "*.cuh"],
                            cwd=ROOT, check=True, capture_output=True, text=True)
    return [p for p in listed.stdout.splitlines() if unit_of(p) in ALLOWED or p in EXCEPTIONS]


def self_test() -> None:
    assert violations("scheduler/a.cc", '#include "model/x.h"')
    assert violations("core/a.h", '#include "kernels/backend.h"')
    assert violations("kvcache/block_pool.h", '#include "kernels/backend.h"')
    assert not violations("kvcache/kv_cache.h", '#include "kernels/backend.h"')
    assert not violations("engine/a.cc", '#include "scheduler/scheduler.h"\n#include <vector>')
    assert violations("server/http_server.cc", '#include "model/transformer.h"')


def main() -> int:
    self_test()
    paths = sources()
    if not paths:
        print("check_layers: found no sources, so it checked nothing")
        return 1
    found = [v for p in paths if (ROOT / p).exists() for v in violations(p, (ROOT / p).read_text())]
    print("\n".join(found) if found else f"check_layers: {len(paths)} files keep the layers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
