#!/usr/bin/env bash
# Checks everything that CI checks: installs the test packages, format, layers, warnings under gcc and clang, then all tests, built with
# AddressSanitizer and UndefinedBehaviorSanitizer.
#   tools/check.sh [options for ctest]
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
    install_packages $TUTTI_DEBIAN_BUILD $TUTTI_DEBIAN_RUN $TUTTI_DEBIAN_TEST
fi
jobs=$(nproc)

echo "== Format"
find include runtime samples tests tools -name '*.[ch]' -print0 |
    xargs -0 clang-format-14 --dry-run --Werror
awk 'length > 110 { print FILENAME ":" FNR ": " length " columns, more than 110"; bad = 1 } END { exit bad }' cl/*.cl*
echo "format: good"

echo "== Layers"
tools/check_layers.sh

echo "== Warnings (clang, then gcc)"
for compiler in clang gcc; do
    type=Debug tests=OFF
    [ $compiler = gcc ] && type=RelWithDebInfo tests=ON # some of gcc's warnings need its optimizer
    cmake -S . -B build-$compiler -DCMAKE_C_COMPILER=$compiler -DTUTTI_WERROR=ON -DTUTTI_TESTS=$tests \
        -DCMAKE_BUILD_TYPE=$type -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O2 -DNDEBUG" >/dev/null
    cmake --build build-$compiler -j "$jobs" | grep -vE '^\[|^\s*$' || true
    cmake --build build-$compiler >/dev/null
    echo "$compiler: good"
done

echo "== Build with sanitizers"
cmake -S . -B build-check -DTUTTI_WERROR=ON -DTUTTI_TESTS=ON -DTUTTI_SANITIZE=address,undefined \
    -DTUTTI_NUMERICS="$PWD/build-gcc" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-O1 -g1" >/dev/null
cmake --build build-check -j "$jobs" | grep -E 'warning|error|\*\*\*' || true
cmake --build build-check >/dev/null
echo "build: good"

echo "== Tests"
# One more than there are processors: many tests wait, for a child process or a device's thread.
ctest --test-dir build-check --output-on-failure -j "$((jobs + 1))" "$@"
