"""Runs the conformance test on oclgrind with its checks for data races and for uninitialised values.

oclgrind's exit code says nothing about what it finds: its log has to be empty. A kernel with a race
and one that reads what nobody wrote show that it would not be.

The oclgrind command sets environment variables and preloads a library; here the ICD is used, and the
variables are set directly. One check per run: together they report values as uninitialised that are
not. Compiled without optimisation for the second, which does not know LLVM's freeze instruction. Each
check runs on kernels from the disk cache: after compiling in the same process, that check now and
then reports values wrongly as well.
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
    "races": {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_UNIFORM_WRITES": "1"},
    "uninitialized": {
        "OCLGRIND_UNINITIALIZED": "1",
        "OCLGRIND_NUM_THREADS": "1",
        "OCLGRIND_BUILD_OPTIONS": "-cl-opt-disable",
    },
}


def run(program, directory, name, work, seed, check=None, op=None, kernels=None):
    """Returns output, exit code and oclgrind's log."""
    log = directory / f"{name}.log"
    log.unlink(missing_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("OCLGRIND_")}
    settings = dict(CHECKS[name])
    if not check:
        settings = {k: v for k, v in settings.items() if k == "OCLGRIND_BUILD_OPTIONS"}
    env.update(
        settings,
        OCL_ICD_VENDORS=str(directory / "icd"),
        OCLGRIND_LOG=str(log),
        # The build options are oclgrind's and not in the key of the cache.
        TUTTI_CACHE_DIR=str(directory / f"cache-{name}-{kernels is not None}"),
        TUTTI_CONFORMANCE_WORK=str(work),
        TUTTI_TEST_SEED=str(seed),
    )
    if op:
        env["TUTTI_CONFORMANCE_OP"] = op
    if kernels:
        env["TUTTI_KERNEL_PATH"] = str(kernels)
    done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=200)
    text = log.read_text(errors="replace") if log.exists() else ""
    return done.stdout + done.stderr, done.returncode, text


def edit(source, target, changes):
    text = source.read_text()
    for old, new in changes:
        if not re.search(old, text):
            sys.exit(f"{source}: no longer contains {old!r}: change this test")
        text = re.sub(old, new, text)
    (target / source.name).write_text(text)


def main():
    build, source = Path(sys.argv[1]), Path(sys.argv[2])
    program = build / "tests" / "test_conformance_conformance"
    library = next((path for path in LIBRARIES if Path(path).exists()), None)
    if library is None:
        sys.exit("oclgrind is not installed (Debian: oclgrind)")
    seed = os.environ.get("TUTTI_TEST_SEED") or str(int.from_bytes(os.urandom(6), "little"))
    print(f"TUTTI_TEST_SEED={seed}")
    problems = []
    with tempfile.TemporaryDirectory(dir=build, prefix="oclgrind-") as name:
        directory = Path(name)
        (directory / "icd").mkdir()
        (directory / "icd" / "oclgrind.icd").write_text(library + "\n")

        for check in CHECKS:
            for checking in (False, True):
                output, code, log = run(program, directory, check, 1500, seed, checking)
                if "Oclgrind" not in output:
                    problems.append(f"{check}: oclgrind did not run:\n{output}")
                if code != 0:
                    problems.append(f"{check}: exit code {code}:\n{output}")
            if log.strip():
                problems.append(f"{check}: oclgrind reports:\n{log[:6000]}")

        broken = directory / "broken"
        broken.mkdir()
        # The sums of a work-group are added up without waiting for one another.
        edit(source / "cl" / "rows.clh", broken, [(r"barrier\(CLK_LOCAL_MEM_FENCE\);", "")])
        # One of the sums starts at whatever is there.
        edit(source / "cl" / "matmul_small.cl", broken, [(r"s3 = 0\.0f", "s3")])
        expected = {
            "races": ("softmax", "data race", "softmax_group"),
            "uninitialized": ("matmul", "Uninitialized value", "matmul_small"),
        }
        for check, (op, message, kernel) in expected.items():
            _, _, log = run(program, directory, check, 1500, seed, True, op, broken)
            if not re.search(rf"{message}.*\n\tKernel: *{kernel}\b", log):
                problems.append(f"{check}: the broken {kernel} is not reported:\n{log[:2000]}")
    print("\n".join(problems) if problems else "no errors reported, both broken kernels found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
