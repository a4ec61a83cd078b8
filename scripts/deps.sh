#!/usr/bin/env bash
# The one list of distribution packages (Debian 12, Ubuntu 24.04): installs what is missing of the groups named.
#   scripts/deps.sh [build] [test] [cross] [deploy] [image] [--list]
# Needs root (or sudo without a password) only when something is missing; says what, and stops, where it may not install.
set -euo pipefail

# `apt-cache show` also knows names that other packages only mention; a candidate can be installed.
has_candidate() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

first_of() {  # the first package of its arguments that this distribution has
  for name in "$@"; do
    if has_candidate "$name"; then echo "$name"; return; fi
  done
  echo "$1"
}

default_clang() { apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -1; }

build_packages() {
  echo g++ cmake ninja-build pkg-config ca-certificates
  echo libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc   # gRPC front end
  first_of libboost1.81-dev libboost1.83-dev                                    # Asio and Beast
  echo libssl-dev nlohmann-json3-dev prometheus-cpp-dev libspdlog-dev libcli11-dev
  echo libpcre2-dev libicu-dev                                                  # tokenizers
  echo libhwy-dev                                                               # portable SIMD
}

test_packages() {
  first_of libboost-context1.81-dev libboost-context1.83-dev                    # the CUDA emulator's fibers
  echo libgtest-dev libgmock-dev libbenchmark-dev python3 python3-venv git curl clang-format
  echo clang "libclang-rt-$(default_clang)-dev"                                 # fuzz targets
  echo prometheus                                                               # dashboards and alerts
  if has_candidate chromium-driver; then echo chromium chromium-driver; fi      # the page; Ubuntu has them as snaps alone
}

cross_packages() {
  echo g++-aarch64-linux-gnu qemu-user                                          # the kernels for 64-bit Arm
}

deploy_packages() {  # not among the tests' own: installing them starts them as services where there is an init
  echo nginx haproxy
}

image_packages() {  # scripts/test_image
  echo debootstrap buildah podman runc fuse-overlayfs netavark
}

is_installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

main() {
  local groups=() list=0 package missing=()
  for argument in "$@"; do
    case $argument in
      --list) list=1 ;;
      build | test | cross | deploy | image) groups+=("$argument") ;;
      *) echo "deps.sh: unknown argument '$argument' (build, test, cross, deploy, image, --list)" >&2; exit 2 ;;
    esac
  done
  [ ${#groups[@]} -gt 0 ] || groups=(build test)
  if ! command -v apt-get >/dev/null; then
    echo "deps.sh: no apt-get here; install these yourself, under your distribution's names:" >&2
    for group in "${groups[@]}"; do "${group}_packages" >&2; done
    exit 1
  fi

  # A fresh machine has no package lists, and the names of some packages depend on them.
  if ! has_candidate libgrpc++-dev; then as_root apt-get update -qq || true; fi
  for group in "${groups[@]}"; do
    for package in $("${group}_packages"); do
      if [ $list = 1 ]; then echo "$package"; continue; fi
      is_installed "$package" || missing+=("$package")
    done
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    echo "deps.sh: missing packages, and no right to install them. As root, run:" >&2
    echo "  apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing ${#missing[@]} packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

main "$@"
