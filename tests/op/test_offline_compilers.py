"""What GPUs are asked to compile, by compilers of their vendors that need no device: clang for AMD's, clang with libclc
and ptxas (CUDA toolkit) for NVIDIA's, ocloc for Intel's. A chip whose compilers are not installed, or do not know it, is
left out.

test_gpu_kernels writes the kernels. Each compiler gets a few, of every tiled one at least one; all of them with
TUTTI_OFFLINE_ALL=1, and then it prints registers. A kernel must compile, keep its registers (a little is tolerated on
Intel, whose compiler may choose a narrower width instead), and fit its local memory into the device's, with what its
launch adds.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD, SOURCE = sys.argv[1], Path(sys.argv[2])
ALL = os.environ.get("TUTTI_OFFLINE_ALL") == "1"
EACH = 8  # of a compiler, without TUTTI_OFFLINE_ALL
SEED = os.environ.get("TUTTI_TEST_SEED") or str(int.from_bytes(os.urandom(4), "little"))
CLANG = next((found for name in ("clang", "clang-14") if (found := shutil.which(name))), None)
OCLOC = next((str(path) for path in sorted(Path("/usr/bin").glob("ocloc*"))), None)
# As the vendors' runtimes call their compilers. For AMD's, built-in functions that are no instructions stay calls.
LIBCLC, LIBDEVICE = "/usr/lib/clc/nvptx64--nvidiacl.bc", "/usr/local/cuda/nvvm/libdevice/libdevice.10.bc"
OPENCL = ["-x", "cl", "-cl-std=CL1.2", "-D__OPENCL_VERSION__=120", "-Xclang", "-finclude-default-header", "-w", "-O3"]
LOCAL_MEMORY = {"sm": 48 << 10, "gf": 64 << 10, "tg": 64 << 10, "dg": 64 << 10, "pv": 64 << 10}
TILED = ("matmul_tile", "matmul_sub_group", "matmul_mma", "conv_gemm", "attention_tile", "attention_dkv_tile")
INTEL_SPILL_MAX = 2048  # bytes of a hardware thread


def call(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def first_lines(text):
    return "\n    ".join(line for line in text.splitlines() if line.strip())[:1200]


def amd(chip, source, options, work):
    """By kernel: bytes of local memory, of spilled registers, and what to print."""
    out = work / "kernel.s"
    command = (CLANG, *OPENCL, "-target", "amdgcn-amd-amdhsa", f"-mcpu={chip}", *options, "-S", source, "-o", out)
    code, text = call(*command)
    if code != 0:  # perhaps for want of AMD's libraries
        code, text = call(*command, "-nogpulib")
    if code != 0:
        return None, text
    found, assembly = {}, out.read_text()
    calls = "s_swappc" in assembly  # around which registers are saved, as they are not with the libraries
    for part in re.split(r"\n  - (?=\.a)", assembly.partition("amdhsa.kernels")[2])[1:]:
        number = {key: int(value) for key, value in re.findall(r"^ *(?:- )?\.(\w+): +(\d+)$", part, re.M)}
        name = re.search(r"^ *\.name: +(\w+)$", part, re.M).group(1)
        found[name] = (number["group_segment_fixed_size"], 0 if calls else 4 * number["vgpr_spill_count"],
                       f"{number['vgpr_count']} registers")
    return found, text


def nvidia(chip, source, options, work):
    ptx = work / "kernel.ptx"
    libraries = [part for path in (LIBCLC, LIBDEVICE) for part in ("-Xclang", "-mlink-builtin-bitcode", "-Xclang", path)]
    code, text = call(CLANG, *OPENCL, "-Dasm=__asm__", "-target", "nvptx64-nvidia-nvcl", "-Xclang", "-target-feature",
                      "-Xclang", "+ptx72", "-Xclang", "-target-cpu", "-Xclang", "sm_80" if chip == "sm_90" else chip,
                      *libraries, *options, "-S", source, "-o", ptx)
    if code == 0:
        code, text = call("ptxas", f"-arch={chip}", "-v", ptx, "-o", work / "kernel.cubin")
    if code != 0:
        return None, text
    found = {}
    for part in text.split("Compiling entry function '")[1:]:
        local = re.search(r"(\d+) bytes smem", part)
        found[part.partition("'")[0]] = (int(local.group(1)) if local else 0,
                                         int(re.search(r"(\d+) bytes spill stores", part).group(1)),
                                         re.search(r"Used (\d+ registers)", part).group(1))
    return found, text


def text_of(binary):
    """What it says of its kernels, without the names of their arguments."""
    return binary.read_bytes().partition(b"kernels:")[2].partition(b"kernels_misc_info:")[0]


def intel(chip, source, options, work):
    code, text = call(OCLOC, "compile", "-file", source, "-device", chip, "-options",
                      "-cl-std=CL1.2 " + " ".join(options), "-out_dir", work / "intel", "-output", "kernel")
    if code != 0:
        return None, text
    found = {}
    for binary in (work / "intel").glob("*.bin"):
        parts = re.split(rb"- name: +", text_of(binary))[1:]
        for part in parts:
            def number(key):
                match = re.search(rb"\b" + key + rb": +(\d+)", part)
                return int(match.group(1)) if match else 0
            name = part.split()[0].strip(b"'\"").decode()
            found[name] = (number(b"slm_size"), number(b"spill_size"),
                           f"SIMD{number(b'simd_size')}, {number(b'grf_count')} registers")
        binary.unlink()
    return found, text


def vendor_of(chip):
    return ("NVIDIA", nvidia) if chip.startswith("sm_") else ("AMD", amd) if chip.startswith("gfx") else ("Intel", intel)


def is_known(chip, work):
    """Whether there is a compiler for the chip that compiles anything."""
    vendor, function = vendor_of(chip)
    if CLANG is None if vendor == "AMD" else OCLOC is None if vendor == "Intel" else (
            CLANG is None or shutil.which("ptxas") is None):
        return False
    source = work / "probe.cl"
    source.write_text("__kernel void probe(__global float *x) { x[get_global_id(0)] = exp(vload_half(0, (__global half *)x)); }")
    return function(chip, source, [], work)[0] is not None


def chosen(kernels, rng):
    """Of (chip, file, options) -> launches: some, with every tiled kernel among them."""
    keys = sorted(kernels)
    if ALL:
        return keys
    rng.shuffle(keys)
    some, seen = [], set()
    for key in keys:
        new = {launch[0] for launch in kernels[key]} & set(TILED) - seen
        if new:
            some.append(key)
            seen |= new
    return (some + [key for key in keys if key not in some])[:max(EACH, len(some))]


def check(function, directory, key, launches, work):
    chip, file, options = key
    found, text = function(chip, directory / file, options.split(), work)
    if found is None:
        return [f"does not compile: {first_lines(text)}"]
    problems = []
    for entry, local_bytes, label in sorted(launches):
        if entry not in found:
            problems.append(f"{entry} is missing")
            continue
        local, spilled, more = found[entry]
        if ALL:
            print(f"{chip} {label} {entry} {options}: {more}, {local + local_bytes} bytes of local memory", flush=True)
        if spilled > (INTEL_SPILL_MAX if function is intel else 0) and chip != "pvc":  # docs/drivers.md says what spills
            problems.append(f"{label}: {entry} {options}: {spilled} bytes of registers are spilled")
        if local + local_bytes > LOCAL_MEMORY[chip[:2]]:
            problems.append(f"{label}: {entry} {options}: {local + local_bytes} bytes of local memory")
    return problems


def main():
    print(f"TUTTI_TEST_SEED={SEED}")
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        work, directory = Path(name), Path(name) / "kernels"
        directory.mkdir()
        subprocess.run([os.path.join(BUILD, "tests", "test_op_gpu_kernels")], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={**os.environ, "TUTTI_KERNELS_DIR": str(directory)})
        everything = {}
        for line in (directory / "list").read_text().splitlines():
            chip, file, options, entry, _, local_bytes, label = line.split("\t")
            everything.setdefault((chip, file, options), {})[entry] = (int(local_bytes), label)
        chips = {chip: is_known(chip, work) for chip in sorted({key[0] for key in everything})}
        print("skipped: no compiler for", ", ".join(chip for chip, known in chips.items() if not known) or "none")
        for vendor in ("AMD", "NVIDIA", "Intel"):
            mine = {key: {(entry, *rest) for entry, rest in value.items()} for key, value in everything.items()
                    if chips[key[0]] and vendor_of(key[0])[0] == vendor}
            keys = chosen(mine, random.Random(SEED))
            for key in keys:
                for problem in check(vendor_of(key[0])[1], directory, key, mine[key], work):
                    print(f"{vendor} {key[0]}: {problem}")
                    failures += 1
            print(f"{vendor}: {len(keys)} of {len(mine)} programs" if mine else f"{vendor}: skipped", flush=True)
        if not any(chips.values()):
            print("nothing was compiled: not even clang is there, or it lacks the GPUs' targets")
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
