#!/bin/bash
# An op registered by a user program, with its own kernel file: builds, trains, agrees with its
# reference; without its kernel file it says which file is missing.
set -eu
build=$1
"$build/bin/own_op"
"$build/bin/own_op" --help | grep -q Usage
"$build/bin/own_op" -h | grep -q Usage
"$build/bin/own_op" --version | grep -qE '^own_op .*[0-9]+\.[0-9]+\.[0-9]+$'
if [ -e /dev/full ] && "$build/bin/own_op" >/dev/full 2>&1; then
    echo "own_op did not notice that its output is lost"
    exit 1
fi
code=0
message=$("$build/bin/own_op" --nonsense 2>&1) || code=$?
[ "$code" = 2 ] || { echo "exit code $code, expected 2"; exit 1; }
case $message in
*"'--nonsense'"*) ;;
*)
    echo "the message does not name the option: $message"
    exit 1
    ;;
esac
"$build/bin/own_op" --profile cpu.0 --explain | grep -q "  softsign "
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
if message=$(TUTTI_KERNEL_PATH=$empty "$build/bin/own_op" 2>&1); then
    echo "own_op ran without its kernel file: $message"
    exit 1
fi
case $message in
*own_op.cl*) ;;
*)
    echo "the message does not name own_op.cl: $message"
    exit 1
    ;;
esac
