#!/usr/bin/env bash
# A tiny GPT trains to the same losses in PyTorch, where there is PyTorch.
set -eu
if ! /usr/bin/python3 -c "import torch" 2>/dev/null; then
    echo "skipped: no PyTorch (python3-torch)"
    exit 0
fi
tiny="--layers 1 --width 16 --heads 2 --context 16 --windows 64 --batch 8 --epochs 2 --data $2/LICENSE"
# shellcheck disable=SC2086
/usr/bin/python3 "$2/tools/compare_chargpt.py" --program "$1/bin/chargpt" --tolerance 1e-4 $tiny
