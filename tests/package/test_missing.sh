#!/usr/bin/env bash
# Libraries that are missing are named at configure time, all at once, each with its Debian package.
set -u
source=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/empty"
out=$(cmake -S "$source" -B "$dir/build" -DCMAKE_FIND_ROOT_PATH="$dir/empty" -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
    -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY 2>&1) && { echo "configured without any library"; exit 1; }
for package in ocl-icd-opencl-dev libclblast-dev libcjson-dev zlib1g-dev libsodium-dev libcmocka-dev; do
    grep -qE "apt-get install $package(,|\$)" <<<"$out" || { echo "no word of $package in: $out"; exit 1; }
done
