"""Matrix products for NVIDIA's tensor units and for Intel's sub-groups, which a machine that tests need not have.

The kernels run on the host: compiled by clang as OpenCL C, with plain C in the place of the instructions
(units/units.clh) and work-items that take turns at barriers (units/turns.c). With ptxas (CUDA toolkit) and a
clang for NVIDIA's devices the instructions themselves are assembled too: nothing may be spilled. What is not
installed is left out.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(sys.argv[2])
UNITS = SOURCE / "tests" / "op" / "units"
CLANG = next((found for name in ("clang", "clang-14") if (found := shutil.which(name))), None)
OPENCL = ["-x", "cl", "-cl-std=CL1.2", "-cl-no-stdinc", "-Xclang", "-finclude-default-header", "-w", f"-I{SOURCE}/cl"]
SEED = os.environ.get("TUTTI_TEST_SEED") or str(int.from_bytes(os.urandom(4), "little"))

# Tile: file, kernel, options, rows and columns of a work-group, local size; as in runtime/op/matmul_gpu.c.
TILES = {
    "tile": ("matmul.cl", "matmul_tile", "-DBM=64 -DBN=64 -DBK=16 -DTM=8 -DTN=4", (64, 64, 16, 8)),
    "tile128": ("matmul.cl", "matmul_tile", "-DBM=128 -DBN=128 -DBK=8 -DTM=8 -DTN=8", (128, 128, 16, 16)),
    "mma64": ("matmul_mma.cl", "matmul_mma", "-DBM=64 -DBN=64 -DBK=16 -DTM=8 -DTN=4", (64, 64, 16, 8)),
    "mma128": ("matmul_mma.cl", "matmul_mma", "-DBM=128 -DBN=128 -DBK=16 -DTM=8 -DTN=8", (128, 128, 16, 16)),
    "batched": ("batched_matmul_mma.cl", "matmul_mma", "-DBM=64 -DBN=64 -DBK=16 -DTM=8 -DTN=4", None),
    "sub_group16": ("matmul_sub_group.cl", "matmul_sub_group", "-DSG=16 -DLY=8 -DTM=8 -DTN=2", (64, 32, 16, 8)),
    "sub_group8": ("matmul_sub_group.cl", "matmul_sub_group", "-DSG=8 -DLY=4 -DTM=8 -DTN=2", (32, 16, 8, 4)),
}
# f32, also by three products of tf32, and what half a unit of the last of 11 and of 8 bits of both operands comes to.
F32, TF32, BF16 = 1e-6, 1e-3, 8e-3
# Tile, further options, transposes, M, N, K, splits of K, largest error, or None where the result must be wrong:
# by much more than the widest tolerance.
RUNS = [
    ("tile128", "", 1, 0, (131, 130, 21), 1, F32),
    ("mma64", "-DMMA=3", 0, 0, (70, 45, 37), 1, F32),
    ("mma64", "-DMMA=3", 0, 1, (36, 40, 44), 1, F32),
    ("mma64", "-DMMA=3", 1, 0, (33, 20, 300), 2, F32),
    ("mma64", "-DMMA=3", 1, 1, (68, 51, 21), 1, F32),
    ("mma128", "-DMMA=3 -DDOUBLED", 0, 0, (132, 129, 24), 1, F32),
    ("mma64", "-DMMA=3", 0, 0, (16, 8, 4096), 1, F32),
    ("mma64", "-DMMA=1", 0, 1, (36, 40, 44), 1, TF32),
    ("mma64", "-DMMA=1", 1, 0, (70, 45, 37), 1, TF32),
    ("mma64", "-DMMA=16", 0, 0, (70, 45, 37), 1, BF16),
    ("mma128", "-DMMA=16", 1, 1, (68, 51, 21), 1, BF16),
    ("mma64", "-DMMA=1 -DROTATED=1", 0, 0, (70, 45, 37), 1, None),
    ("sub_group16", "-DDOUBLED", 0, 0, (70, 45, 37), 1, F32),
    ("sub_group16", "", 0, 1, (36, 40, 44), 1, F32),
    ("sub_group16", "", 1, 0, (33, 20, 300), 2, F32),
    ("sub_group8", "", 1, 1, (68, 51, 21), 1, F32),
]
# Tile, MMA, transposes.
ASSEMBLED = [("tile", 0, 0, 0), ("tile128", 0, 0, 0), ("tile128", 0, 1, 0), ("mma64", 3, 0, 0), ("mma128", 3, 0, 1),
             ("mma128", 3, 1, 0), ("mma128", 1, 0, 0), ("mma128", 16, 0, 0), ("batched", 3, 0, 0)]


def call(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def run_on_host(directory, run):
    tile, more, trans_a, trans_b, (m, n, k), splits, largest = run
    file, entry, options, geometry = TILES[tile]
    built, turns, program = directory / "kernel.o", directory / "turns.o", directory / "program"
    code, text = call(CLANG, *OPENCL, "-target", f"{os.uname().machine}-linux-gnu", "-O1", *options.split(),
                      *more.split(), f"-DTRANS_A={trans_a}", f"-DTRANS_B={trans_b}", "-include", UNITS / "units.clh",
                      f"-D{entry}=kernel_to_run", "-c", SOURCE / "cl" / file, "-o", built)
    if code == 0 and not turns.exists():
        code, text = call(CLANG, "-O1", "-c", UNITS / "turns.c", "-o", turns)
    if code == 0:
        code, text = call(CLANG, turns, built, "-o", program, "-lm")
    if code != 0:
        return f"does not compile: {text[:2000]}"
    code, text = call(program, m, n, k, trans_a, trans_b, *geometry, splits, 2 if "DOUBLED" in more else 1,
                      SEED)
    if code != 0:
        return text or f"exit code {code}"
    error = float(text)
    if largest is None:
        return f"error {error}, expected a wrong result" if error < 10 * BF16 else None
    return f"error {error}, at most {largest} expected" if not error <= largest else None


def assemble(directory, tile, mma, trans_a, trans_b):
    file, _, options, _ = TILES[tile]
    ptx = directory / "kernel.ptx"
    code, text = call(CLANG, *OPENCL, "-Dasm=__asm__", "-target", "nvptx64-nvidia-nvcl", "-O3", "-Xclang",
                      "-target-feature", "-Xclang", "+ptx72", "-Xclang", "-target-cpu", "-Xclang", "sm_80", "-include",
                      UNITS / "nvidia.clh", *options.split(), f"-DMMA={mma}", f"-DTRANS_A={trans_a}",
                      f"-DTRANS_B={trans_b}", "-S", SOURCE / "cl" / file, "-o", ptx)
    if code != 0:
        return f"does not compile: {text[:2000]}"
    code, text = call("ptxas", "-arch=sm_80", "-v", ptx, "-o", directory / "kernel.cubin")
    if code != 0:
        return f"does not assemble: {text[:2000]}"
    print(tile, mma, trans_a, trans_b, re.search(r"Used \d+ registers", text).group(0))
    spilled = int(re.search(r"(\d+) bytes spill stores", text).group(1))
    return f"{spilled} bytes are spilled" if spilled > 0 else None


def main():
    if CLANG is None:
        print("skipped: no clang")
        return 0
    print(f"TUTTI_TEST_SEED={SEED}")
    problems = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for run in RUNS:
            if problem := run_on_host(directory, run):
                problems.append(f"{run}: {problem}")
        has_target = "nvptx64" in call(CLANG, "--print-targets")[1]
        if shutil.which("ptxas") and has_target:
            for kernel in ASSEMBLED:
                if problem := assemble(directory, *kernel):
                    problems.append(f"{kernel}: {problem}")
        else:
            print("not assembled: no ptxas, or a clang without NVIDIA's devices")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
