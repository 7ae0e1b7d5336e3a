#!/usr/bin/env bash
# make_goldens.py explains itself, also without PyTorch (-S), and refuses what it does not know.
set -eu
make=$2/tests/golden/make_goldens.py
/usr/bin/python3 -S "$make" --help | grep -q -- '--full DIR'
for wrong in nope --full "--full /nonexistent" "--full /tmp basic"; do
    # shellcheck disable=SC2086
    if out=$(/usr/bin/python3 -S "$make" $wrong 2>&1); then code=0; else code=$?; fi
    case "$code $out" in
    *Traceback* | [!2]* | *PyTorch*) echo "$wrong: $code, $out"; exit 1 ;;
    esac
done
