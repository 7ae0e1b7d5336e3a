#!/usr/bin/env bash
# From a fresh Debian or Ubuntu machine to a trained network: installs packages, builds into build/, shows the OpenCL devices and
# trains the digits classifier on all of them. Running it again is quick and harmless.
#   tools/quickstart.sh [options for the digits sample]
# TUTTI_SKIP_PACKAGES=1 leaves the installation of packages to you.
set -eu
cd "$(dirname "$0")/.."
. tools/setup.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 0
fi
if [ "${TUTTI_SKIP_PACKAGES:-0}" != 1 ]; then
    # shellcheck disable=SC2086
    install_packages $TUTTI_DEBIAN_BUILD $TUTTI_DEBIAN_RUN
fi

echo "== Building into build/"
mkdir -p build || exit 1
log=build/build.log
: >$log || { echo "This directory must be writable: the build goes into build/" >&2; exit 1; }
cmake -S . -B build -DTUTTI_TESTS="${TUTTI_TESTS:-OFF}" >$log 2>&1 || { cat $log >&2; exit 1; }
cmake --build build -j "$(nproc)" >>$log 2>&1 || { tail -n 40 $log >&2; exit 1; }

echo "== OpenCL devices"
build/bin/tutti-probe

echo
echo "== Training the digits classifier on every device"
build/bin/digits --profile auto --plot build/digits-loss.svg "$@"
