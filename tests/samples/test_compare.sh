#!/usr/bin/env bash
# A tiny GPT trains to the same losses in PyTorch, where there is PyTorch.
set -eu
compare="/usr/bin/python3 $2/tools/compare_chargpt.py --program $1/bin/chargpt"
/usr/bin/python3 -S "$2/tools/compare_chargpt.py" --help | grep -q 'exit code' # -S: without PyTorch
if ! /usr/bin/python3 -c "import torch" 2>/dev/null; then
    echo "skipped: no PyTorch (python3-torch)"
    exit 0
fi
tiny="--layers 1 --width 16 --heads 2 --context 16 --windows 64 --batch 8 --epochs 2 --data $2/LICENSE"
# shellcheck disable=SC2086
$compare --tolerance 1e-4 $tiny
for wrong in "--heads 3" "--program /nonexistent"; do
    # shellcheck disable=SC2086
    if out=$($compare $tiny $wrong 2>&1); then code=0; else code=$?; fi
    case "$code $out" in
    *Traceback* | [!2]*) echo "$wrong: $code, $out"; exit 1 ;;
    esac
done
