#!/usr/bin/env bash
# Builds the peers that bench/peers measures us against, outside the tree, for this machine's own instructions.
#
#   bench/peers/setup.sh DIR [--sdist FILE] [--tools] [--ik SOURCE]
#
#   DIR/venv     llama-cpp-python from its source distribution (PyPI, or FILE where it was downloaded before), and gguf
#   DIR/llama    with --tools: llama-bench, llama-batched-bench, llama-server and llama-quantize of the llama.cpp
#                inside that distribution; --llama DIR/llama of bench/peers
#   DIR/ik       with --ik: the same tools of a checkout of ik_llama.cpp; --ik DIR/ik of bench/peers
#
# JOBS (2) compilers at once. Compilers' caches are used where there are any. A second run builds what is missing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
jobs=${JOBS:-2}
tools=(llama-bench llama-batched-bench llama-server llama-quantize)

usage() { sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//'; exit "${1:-2}"; }

[[ $# -ge 1 ]] || usage
[[ $1 != -h && $1 != --help ]] || usage 0
root=$1; shift
sdist="" with_tools=0 ik_source=""
while [[ $# -gt 0 ]]; do
  case $1 in
    --sdist) sdist=$(realpath "$2"); shift 2 ;;
    --tools) with_tools=1; shift ;;
    --ik) ik_source=$(realpath "$2"); shift 2 ;;
    *) usage ;;
  esac
done
mkdir -p "$root"
root=$(realpath "$root")
case $root/ in "$(realpath "$here/../..")"/*) echo "setup.sh: DIR must lie outside the tree" >&2; exit 2 ;; esac

launcher=()
if command -v ccache > /dev/null; then
  launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
# -w: with some compilers their warnings are most of the log, and of another project nobody mends them here.
native=(-DGGML_NATIVE=ON -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DGGML_CCACHE=OFF -DCMAKE_C_FLAGS=-w
        -DCMAKE_CXX_FLAGS=-w "${launcher[@]}")

pinned() { sed -n "s/^$1==//p" "$here/requirements.txt"; }

# The unpacked source distribution, in DIR/src.
unpack() {
  local name="llama_cpp_python-$(pinned llama-cpp-python)"
  source_dir="$root/src/$name"
  [[ -d $source_dir ]] && return
  mkdir -p "$root/src"
  if [[ -z $sdist ]]; then
    "$root/venv/bin/pip" download -q --no-deps --no-binary :all: --no-build-isolation -d "$root/src" \
      "llama-cpp-python==$(pinned llama-cpp-python)"
    sdist="$root/src/$name.tar.gz"
  fi
  tar xzf "$sdist" -C "$root/src"
}

# build_tools SOURCE NAME [cmake flags]: the tools and their libraries into DIR/NAME.
build_tools() {
  local from=$1 name=$2; shift 2
  cmake -S "$from" -B "$root/build/$name" "${native[@]}" "$@"
  cmake --build "$root/build/$name" -j "$jobs" --target "${tools[@]}"
  ln -sfn "$root/build/$name/bin" "$root/$name"
}

[[ -x $root/venv/bin/python ]] || python3 -m venv "$root/venv"
"$root/venv/bin/pip" install -q "scikit-build-core[pyproject]>=0.9.2" "gguf==$(pinned gguf)" "numpy==$(pinned numpy)"
unpack
if ! "$root/venv/bin/python" -c 'import llama_cpp' 2> /dev/null; then
  # Without mtmd: images are nobody's row here. --no-build-isolation: cmake and ninja are the system's.
  CMAKE_ARGS="${native[*]} -DLLAVA_BUILD=OFF" CMAKE_BUILD_PARALLEL_LEVEL=$jobs \
    "$root/venv/bin/pip" install --no-build-isolation "$source_dir[server]"
fi
if [[ $with_tools == 1 ]]; then
  build_tools "$source_dir/vendor/llama.cpp" llama -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_OPENSSL=OFF
fi
if [[ -n $ik_source ]]; then
  build_tools "$ik_source" ik -DGGML_IQK_FA_ALL_QUANTS=OFF -DLLAMA_BUILD_TESTS=OFF
fi
"$root/venv/bin/python" -c 'import llama_cpp; print("llama-cpp-python", llama_cpp.__version__)'
