"""Two vendors in one process, PoCL and oclgrind, train like PoCL alone."""
import json
import os
import subprocess
import sys
import tempfile

build, source = sys.argv[1], sys.argv[2]
DIGITS, BINARY = (os.path.join(build, "bin", name) for name in ("digits", "binary"))
OCLGRIND, POCL = "/usr/lib/oclgrind/liboclgrind-rt-icd.so", "/etc/OpenCL/vendors/pocl.icd"
failures = 0

if not (os.path.exists(OCLGRIND) and os.path.exists(POCL)):
    print("oclgrind or PoCL is missing, not tested")
    sys.exit(0)


def check(condition, what):
    global failures
    if not condition:
        failures += 1
        print("FAILED: " + what)


def train(program, profile, *options):
    """One epoch; returns the lines of the metrics file."""
    metrics = os.path.join(work, "metrics.jsonl")
    environment = {**os.environ, "OCL_ICD_VENDORS": os.path.join(work, "icd"),
                   "TUTTI_CACHE_DIR": os.path.join(work, "cache")}
    subprocess.run((program, "--profile", profile, "--epochs", "1", "--quiet", "--metrics", metrics) + options,
                   env=environment, check=True, timeout=200, stdout=subprocess.DEVNULL)
    with open(metrics) as f:
        return [json.loads(line) for line in f]


def compare(program, one_profile, two_profile, *options):
    """Returns the part of the samples that oclgrind got."""
    one, two = train(program, one_profile, *options), train(program, two_profile, *options)
    check(len(one[-1]["devices"]) == 1 and len(two[-1]["devices"]) == 2, "devices: %s" % two[-1]["devices"])
    for event, key in ((-2, "loss"), (-2, "val_loss"), (-1, "test_loss")):
        a, b = one[event][key], two[event][key]
        check(abs(a - b) <= 1e-4 * a, "%s: one vendor %.9g, two vendors %.9g" % (key, a, b))
    simulator = [device for device in two[-1]["devices"] if "Oclgrind" in device["name"]]
    check(len(simulator) == 1, "oclgrind takes part: %s" % two[-1]["devices"])
    part = simulator[0]["samples"] / sum(device["samples"] for device in two[-1]["devices"])
    print("%s: test loss %.9g and %.9g, oclgrind has %.1f %% of the samples in %.1f s" % (
        os.path.basename(program), one[-1]["test_loss"], two[-1]["test_loss"], 100 * part,
        simulator[0]["busy_s"]), flush=True)
    return part


with tempfile.TemporaryDirectory() as work:
    os.mkdir(os.path.join(work, "icd"))
    with open(POCL) as source_icd, open(os.path.join(work, "icd", "pocl.icd"), "w") as f:
        f.write(source_icd.read())
    with open(os.path.join(work, "icd", "oclgrind.icd"), "w") as f:
        f.write(OCLGRIND + "\n")
    # The simulator takes about as long for one row of a matrix product's tile as for all its rows: few steps
    # with many samples each. Measuring its kernels would take longer than the training.
    profile = os.path.join(work, "fixed.json")
    with open(profile, "w") as f:
        json.dump({"schedule": "data", "determinism": "reproducible",
                   "devices": [{"match": {"type": "cpu", "index": 0}},
                               {"match": {"name": "*Oclgrind*"}, "share": 0.015}]}, f)
    part = compare(DIGITS, "cpu", profile, "--batch", "4096")
    check(0.01 < part < 0.02, "digits: oclgrind has a share of %g, not 0.015" % part)
    part = compare(BINARY, "cpu", os.path.join(source, "samples", "profiles", "two-vendors.json"))
    check(0.2 < part < 0.3, "binary: oclgrind has a share of %g, not 0.25" % part)
    # Measured shares: the simulator may get nothing.
    compare(DIGITS, "cpu", "all")
sys.exit(1 if failures else 0)
