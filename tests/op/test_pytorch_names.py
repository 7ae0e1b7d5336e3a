#!/usr/bin/env python3
"""The names of tests/op/pytorch.def are PyTorch's, where there is PyTorch."""
import pathlib
import re
import sys

NEWER = {"F.scaled_dot_product_attention", "F.rms_norm", "nn.RMSNorm"}  # of PyTorch 2

try:
    import torch
except ImportError:
    print("skipped: no PyTorch (python3-torch)")
    sys.exit(0)


def there(name):
    at = {"F": torch.nn.functional, "nn": torch.nn, "torch": torch}[name.split(".")[0]]
    for part in name.split(".")[1:]:
        at = getattr(at, part, None)
    return at is not None


text = (pathlib.Path(sys.argv[2]) / "tests/op/pytorch.def").read_text()
names = [name for row in re.findall(r'^ROW\("([^"]*)"', text, re.M) for name in row.split(", ")]
bad = [name for name in names if not there(name) and name not in NEWER]
print(len(names), "names; unknown:", ", ".join(bad) or "none")
sys.exit(0 if len(names) > 100 and not bad and not there("torch.no_such_name") else 1)
