#!/usr/bin/env bash
# Where there is no apt-get, quickstart names the packages for other systems and stops.
set -u
unset TUTTI_SKIP_PACKAGES
source=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for tool in bash dirname cat sed env id; do
    ln -s "$(command -v $tool)" "$dir/$tool"
done
out=$(PATH=$dir bash "$source/tools/quickstart.sh" 2>&1)
code=$?
echo "$out"
[ "$code" = 1 ] || { echo "exit code $code, expected 1"; exit 1; }
for word in dnf pacman clblast TUTTI_SKIP_PACKAGES; do
    case $out in *$word*) ;; *) echo "no word of $word"; exit 1 ;; esac
done
PATH=$dir bash "$source/tools/quickstart.sh" --help | grep -q 'trains the digits' || exit 1
PATH=$dir bash "$source/tools/check.sh" --help | grep -q 'Sanitizer' || exit 1
