#!/usr/bin/env bash
# tutti-probe from outside: options, exit codes, messages, self-test under a layer that spoils results, profiles.
#   test_probe.sh BUILD_DIRECTORY SOURCE_DIRECTORY
set -u
build=$1
source_dir=$2
program=$build/bin/tutti-probe
. "$source_dir/tests/tool.sh"
export TMPDIR=$dir/tmp
mkdir "$TMPDIR"

json() { # a Python expression about the document d
    python3 - "$dir/out" "$1" <<'END' || fail "$last: not so: $1"
import json, sys
d = json.load(open(sys.argv[1]))
devices = [device for platform in d["platforms"] for device in platform["devices"]]
sys.exit(0 if eval(sys.argv[2]) else 1)
END
}

# Options.
documents json bench self-test emit-profile force select help version
expect 0 -h
expect 0 --version
says '^tutti-probe [0-9]*\.[0-9]*\.[0-9]*$'
expect 2 --unknown
lines 1
complains "unknown option '--unknown'; see tutti-probe --help"
expect 2 --json=yes
complains "option '--json=yes' has a value, expected none"
expect 2 surplus
lines 1
expect 2 --json --emit-profile -
expect 2 --select
complains "option '--select' needs a value"
expect_lost
expect_lost --json
expect_lost --help
expect_lost --emit-profile -

TUTTI_LOG=verbose expect 0 --select cpu
complains 'TUTTI_LOG is "verbose", expected debug, info'
lines 1

# The machine's own devices.
expect 0
silent
for word in type driver version "compute units" memory "largest allocation" "local memory" fp16 fp64 widths \
    sub-groups unified extensions; do
    says "$word"
done
if grep -q "$(printf '\033')" "$dir/out"; then fail "colours where no terminal is"; fi
expect 0 --json
json 'd["schema_version"] == 1 and any(device["usable"] for device in devices)'
json 'all("self_test" not in device and "bench" not in device for device in devices)'

# Selection.
export POCL_DEVICES="pthread pthread"
expect 0 --select cpu.1 --json
json '[device["selected"] for device in devices if device["type"] == "CPU"][:2] == [False, True]'
json 'd["select"] == "cpu.1"'
expect 0 --select '!cpu.0'
says "not selected"
expect 3 --select cpu.7
lines 1
expect 5 --select 'gpux'
complains "did you mean"

cat >"$dir/parts.json" <<'END'
{"devices": [{"match": {"type": "cpu", "index": 0}, "partition": [1, 1]}]}
END
if [ "$(nproc)" -ge 2 ]; then
    expect 0 --select "$dir/parts.json"
    says 'used as  *2 sub-devices of 1, 1 compute units'
    expect 0 --select "$dir/parts.json" --json
    json '[device["sub_devices"] for device in devices][:2] == [[1, 1], []]'
fi

# A profile of what was found: it parses, it takes the same devices, and it is not overwritten by accident.
expect 0 --emit-profile "$dir/all.json"
last="the emitted profile"
python3 - "$dir/all.json" "$source_dir/docs/profile.schema.json" <<'END' || fail "$last: against the schema"
import json, sys
try:
    import jsonschema
except ImportError:
    sys.exit(0)
jsonschema.validate(json.load(open(sys.argv[1])), json.load(open(sys.argv[2])))
END
expect 1 --emit-profile "$dir/all.json" --bench
complains "exists already"
silent_out
expect 2 --force
expect 0 --emit-profile "$dir/all.json" --force
expect 0 --emit-profile - --select cpu.0
silent
cmp -s "$dir/out" /dev/null && fail "$last: no profile on standard output"
expect 0 --emit-profile "$dir/twin.json" --select cpu.1
expect 0 --select "$dir/twin.json" --json
json '[device["selected"] for device in devices if device["type"] == "CPU"][:2] == [False, True]'
expect 1 --emit-profile "$dir/no/such/dir.json"
complains "dir.json"
unset POCL_DEVICES

# Self-test.
expect 0 --self-test --json
json 'all(d["self_test"]["passed"] and len(d["self_test"]["tests"]) >= 7 for d in devices if d["usable"])'
export OPENCL_LAYERS=$build/tests/layer_fault.so
for n in 1 2 3 4 5 6 7; do
    LAYER_FAULT="read=flip@$n" expect 4 --self-test --json --select cpu.0
    json "[t['passed'] for t in devices[0]['self_test']['tests']].index(False) == $n - 1"
    json 'not devices[0]["self_test"]["passed"] and devices[0]["self_test"]["problem"] is None'
    lines 1
done
LAYER_FAULT="read=flip@2" expect 4 --self-test --select cpu.0
complains 'cpu.0 (.*): the self-test "float" failed: .* is .*, expected'
LAYER_FAULT="kernel=-5@3" expect 4 --self-test
says "CL_OUT_OF_RESOURCES (-5) on cpu.0"
LAYER_FAULT="buffer=-4@1" expect 4 --self-test
says "CL_MEM_OBJECT_ALLOCATION_FAILURE"
LAYER_FAULT="kernel=-5@1" expect 6 --bench
says "measured *FAILED"
complains "cpu.0 (.*): it could not be measured: clEnqueueNDRangeKernel: CL_OUT_OF_RESOURCES"
LAYER_FAULT="buffer=-4@1" expect 7 --bench
LAYER_FAULT="kernel=-30@1" expect 1 --bench
unset OPENCL_LAYERS

# Measuring.
expect 0 --bench --json --select cpu.0
json 'all(devices[0]["bench"][k] > 0 for k in ("fp32_gflops", "copy_gb_per_s", "host_to_device_gb_per_s",
      "device_to_host_gb_per_s", "launch_us"))'
# More than any scalar loop reaches, less than any machine that runs this has.
json '0.5 < devices[0]["bench"]["fp32_gflops"] < 1e5'

# No driver, a broken driver beside a good one, only a broken one.
mkdir "$dir/none" "$dir/mixed" "$dir/broken"
OCL_ICD_VENDORS=$dir/none expect 3
lines 1
complains "$dir/none"
complains "pocl-opencl-icd"
OCL_ICD_VENDORS=$dir/none expect 3 --json
json 'd["platforms"] == [] and "none" in d["searched"]'
vendors=${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}
if [ -d "$vendors" ]; then cp "$vendors"/*.icd "$dir/mixed/"; else cp "$vendors" "$dir/mixed/good.icd"; fi
echo "$build/tests/fake_icd_a.so" >"$dir/mixed/00-fake.icd"
echo "$build/tests/fake_icd_a.so" >"$dir/broken/00-fake.icd"
for way in abort segv exit; do
    FAKE_a=$way OCL_ICD_VENDORS=$dir/mixed expect 0 --self-test --json
    json 'any(p["problem"] for p in d["platforms"]) and any(x["usable"] and x["self_test"]["passed"] for x in devices)'
done
TUTTI_DISCOVER_DEADLINE_MS=3000 FAKE_a=hang OCL_ICD_VENDORS=$dir/mixed expect 0 --self-test
says "hung: no answer in 3 s"
says "self-test *integer *ok"
FAKE_a=abort OCL_ICD_VENDORS=$dir/broken expect 3
says "crashed (signal 6, Aborted)"
complains "no OpenCL driver works"

# Two vendors in one process.
if [ -e /usr/lib/oclgrind/liboclgrind-rt-icd.so ]; then
    echo /usr/lib/oclgrind/liboclgrind-rt-icd.so >"$dir/mixed/oclgrind.icd"
    rm "$dir/mixed/00-fake.icd"
    OCL_ICD_VENDORS=$dir/mixed expect 0 --self-test --json
    json 'len(devices) >= 2 and all(x["self_test"]["passed"] for x in devices)'
    json '[x["quirks"] for x in devices if "Oclgrind" in x["name"]] == [["interpreter", "no_routines"]]'
fi

[ -z "$(ls -A "$TMPDIR")" ] || fail "left behind: $(ls "$TMPDIR")"
[ "$failures" -eq 0 ] || exit 1
echo "all good"
