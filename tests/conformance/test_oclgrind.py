"""Runs the conformance test on oclgrind with its checks for API errors, data races and uninitialised
values.

oclgrind's exit code says nothing about what it finds: its log has to be empty. A kernel with a race
and one that reads what nobody wrote show that it would not be.

The oclgrind command sets environment variables and preloads a library; here the ICD is used, and the
variables are set directly. Kernels are compiled without optimisation: the check for uninitialised
values does not know LLVM's freeze instruction.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = [
    "/usr/lib/oclgrind/liboclgrind-rt-icd.so",
    "/usr/lib/x86_64-linux-gnu/oclgrind/liboclgrind-rt-icd.so",
    "/usr/lib/aarch64-linux-gnu/oclgrind/liboclgrind-rt-icd.so",
]
CHECKS = {
    "OCLGRIND_CHECK_API": "1",
    "OCLGRIND_DATA_RACES": "1",
    "OCLGRIND_UNIFORM_WRITES": "1",
    "OCLGRIND_UNINITIALIZED": "1",
    "OCLGRIND_BUILD_OPTIONS": "-cl-opt-disable",
}
WORK = 1200  # operations per example


def run(program, directory, seed, op=None, kernels=None):
    """Returns output, exit code and oclgrind's log."""
    log = directory / "log"
    log.unlink(missing_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("OCLGRIND_")}
    env.update(
        CHECKS,
        OCL_ICD_VENDORS=str(directory / "icd"),
        OCLGRIND_LOG=str(log),
        # oclgrind's build options are not in the key of Tutti's cache.
        TUTTI_CACHE_DIR=str(directory / "cache"),
        TUTTI_CONFORMANCE_WORK=str(WORK),
        TUTTI_TEST_SEED=str(seed),
    )
    if op:
        env.update(TUTTI_CONFORMANCE_OP=op, TUTTI_KERNEL_PATH=str(kernels), TUTTI_CONFORMANCE_SHARD="0/1")
    done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=500)
    text = log.read_text(errors="replace") if log.exists() else ""
    return done.stdout + done.stderr, done.returncode, text


def edit(source, target, changes):
    text = source.read_text()
    for old, new in changes:
        if not re.search(old, text):
            sys.exit(f"{source}: no longer contains {old!r}: change this test")
        text = re.sub(old, new, text)
    (target / source.name).write_text(text)


def report(problems):
    print("\n".join(problems) if problems else "no errors reported")
    return 1 if problems else 0


def main():
    build, source = Path(sys.argv[1]), Path(sys.argv[2])
    program = build / "tests" / "test_conformance_conformance"
    library = next((path for path in LIBRARIES if Path(path).exists()), None)
    if library is None:
        sys.exit("oclgrind is not installed (Debian: oclgrind)")
    seed = os.environ.get("TUTTI_TEST_SEED") or str(int.from_bytes(os.urandom(6), "little"))
    print(f"TUTTI_TEST_SEED={seed}")
    problems = []
    shard = os.environ.get("TUTTI_CONFORMANCE_SHARD", "0/1")
    with tempfile.TemporaryDirectory(dir=build, prefix="oclgrind-") as name:
        directory = Path(name)
        (directory / "icd").mkdir()
        (directory / "icd" / "oclgrind.icd").write_text(library + "\n")

        output, code, log = run(program, directory, seed)
        if "Oclgrind" not in output:
            problems.append(f"oclgrind did not run:\n{output}")
        if code != 0:
            problems.append(f"exit code {code}:\n{output}")
        if log.strip():
            problems.append(f"oclgrind reports:\n{log[:6000]}")

        if not shard.startswith("0/"):
            return report(problems)
        broken = directory / "broken"
        broken.mkdir()
        # The sums of a work-group are added up without waiting for one another.
        edit(source / "cl" / "rows.clh", broken, [(r"barrier\(CLK_LOCAL_MEM_FENCE\);", "")])
        # One of the sums starts at whatever is there.
        edit(source / "cl" / "matmul_small.cl", broken, [(r"s3 = 0\.0f", "s3")])
        expected = [
            ("softmax", "softmax_group", "data race"),
            ("matmul", "matmul_small", "Uninitialized value"),
        ]
        for op, kernel, message in expected:
            _, _, log = run(program, directory, seed, op, broken)
            if not re.search(rf"{message}.*\n\tKernel: *{kernel}\b", log):
                problems.append(f"no {message} reported in the broken {kernel}:\n{log[:2000]}")
    return report(problems)


if __name__ == "__main__":
    sys.exit(main())
