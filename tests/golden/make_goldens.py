#!/usr/bin/env python3
"""Writes FAMILY.safetensors: known answers of PyTorch for a family of ops.

    make_goldens.py [FAMILY ...]      all families when none is named
    make_goldens.py --full DIR        networks of usual size, too large for the repository, into
                                      DIR/nets.safetensors; takes some minutes. Then
                                      TUTTI_GOLDEN_DIR=DIR build/tests/test_golden_nets
                                      (of a build with -DTUTTI_TESTS=ON)

Needs NumPy and PyTorch (Debian: python3-torch, for /usr/bin/python3); the tests do not. A family is a
file make_FAMILY.py beside this one with a function make() and a number SEED; its cases are listed for
the tests in FAMILY.def.
Everything is computed in double precision from inputs that are exact in single precision, and
rounded once. Format: safetensors (8 bytes header length, JSON header, raw little-endian data).

Tensors: CASE/in0 .. CASE/inN inputs, CASE/out result, CASE/dout its gradient, CASE/grad0 ..
gradients of the f32 inputs; what else a family has is said there.
"""
import argparse
import importlib
import json
import pathlib
import struct
import sys

try:
    import numpy as np
    import torch
    rng, missing = np.random.default_rng(), None
except ImportError as error:  # --help works without
    missing = error

HERE = pathlib.Path(__file__).parent
tensors = {}
BATCH = 6


def put(name, value):
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    kind = np.int32 if np.issubdtype(value.dtype, np.integer) else np.float32
    tensors[name] = np.array(value, dtype=kind, order="C")


def uniform(*shape, lo=-2.0, hi=2.0):
    return torch.tensor(rng.uniform(lo, hi, shape).astype(np.float32), dtype=torch.float64)


def labels(n, classes):
    return torch.tensor(rng.integers(0, classes, n))


def case(name, fn, *inputs, grad=True, grad_of=None, extra=()):
    """grad_of: the inputs with gradients, when not all f32 ones; extra: inputs that fn does not take."""
    leaves = []
    for i, x in enumerate(extra):
        put(f"{name}/in{len(inputs) + i}", x)
    for i, x in enumerate(inputs):
        put(f"{name}/in{i}", x)
        wanted = grad and x.is_floating_point() and (grad_of is None or i in grad_of)
        leaves.append(x.clone().requires_grad_(wanted))
    out = fn(*leaves)
    put(f"{name}/out", out)
    if not grad:
        return
    dout = uniform(*out.shape)
    put(f"{name}/dout", dout)
    out.backward(dout)
    for i, x in enumerate(leaves):
        if x.requires_grad:
            put(f"{name}/grad{i}", x.grad if x.grad is not None else torch.zeros_like(x))


def save(path):
    header, offset = {"__metadata__": {"made_with": f"PyTorch {torch.__version__}"}}, 0
    for name, value in tensors.items():
        kind = "I32" if value.dtype == np.int32 else "F32"
        header[name] = {"dtype": kind, "shape": list(value.shape),
                        "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            file.write(value.astype(value.dtype.newbyteorder("<")).tobytes())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(p.stem[5:] for p in HERE.glob("make_*.py") if p.stem != "make_goldens")
    parser.add_argument("families", metavar="FAMILY", nargs="*", help=", ".join(known))
    parser.add_argument("--full", metavar="DIR", type=pathlib.Path, help="networks of usual size, into this directory")
    options = parser.parse_args()
    unknown = [name for name in options.families if name not in known]
    if unknown:
        parser.error(f"no family {unknown[0]}; there are {', '.join(known)}")
    if options.full is not None and options.families:
        parser.error("--full stands without FAMILY")
    if options.full is not None and not options.full.is_dir():
        parser.error(f"argument --full: no directory {options.full}")
    if missing is not None:
        parser.error(f"{missing}: {sys.executable} has no NumPy or no PyTorch (Debian: python3-torch, for /usr/bin/python3)")
    options.families = ["nets"] if options.full is not None else options.families or known
    return options


def main():
    options = arguments()
    for family in options.families:
        module = importlib.import_module(f"make_{family}")
        rng.bit_generator.state = np.random.default_rng(module.SEED).bit_generator.state
        tensors.clear()
        module.make() if options.full is None else module.make_full()
        save((options.full or HERE) / f"{family}.safetensors")
        print(family, len(tensors), "tensors")


if __name__ == "__main__":
    sys.modules["make_goldens"] = sys.modules["__main__"]  # families import this very module
    main()
