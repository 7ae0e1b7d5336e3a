"""tutti-probe --json against clinfo --json on this machine, field by field.

Usage: test_clinfo.py BUILD_DIRECTORY SOURCE_DIRECTORY
"""
import json
import os
import subprocess
import sys
import tempfile

PROBE = os.path.join(sys.argv[1], "bin", "tutti-probe")
if not os.path.exists("/sys/devices/system/cpu"):  # as the library does for itself; clinfo does not
    os.environ.setdefault("HWLOC_SYNTHETIC", "node:1(memory=4294967296) core:%d pu:1" % os.cpu_count())
OCLGRIND = "/usr/lib/oclgrind/liboclgrind-rt-icd.so"


def text(value):
    return " ".join(value.split())


def has(name):
    return lambda d: name in d["CL_DEVICE_EXTENSIONS"].split()


def bit(field, position):
    return lambda d: bool(d[field]["raw"] >> position & 1)


def same(field):
    return lambda d: d[field]


def kind(d):
    names = d["CL_DEVICE_TYPE"]["type"]
    for name in ("GPU", "ACCELERATOR", "CPU"):
        if "CL_DEVICE_TYPE_" + name in names:
            return name
    return "CUSTOM"


def pci(d):
    return d.get("CL_DEVICE_PCI_BUS_INFO_KHR", "").replace("PCI-E, ", "") or None


# Field of ours: what clinfo's description of the device says it must be.
FIELDS = {
    "name": lambda d: text(d["CL_DEVICE_NAME"]),
    "vendor": lambda d: text(d["CL_DEVICE_VENDOR"]),
    "vendor_id": same("CL_DEVICE_VENDOR_ID"),
    "driver_version": lambda d: text(d["CL_DRIVER_VERSION"]),
    "opencl_version": lambda d: text(d["CL_DEVICE_VERSION"]),
    "opencl_c_version": lambda d: text(d["CL_DEVICE_OPENCL_C_VERSION"]),
    "profile": same("CL_DEVICE_PROFILE"),
    "type": kind,
    "available": same("CL_DEVICE_AVAILABLE"),
    "compiler": same("CL_DEVICE_COMPILER_AVAILABLE"),
    "linker": same("CL_DEVICE_LINKER_AVAILABLE"),
    "little_endian": same("CL_DEVICE_ENDIAN_LITTLE"),
    "address_bits": same("CL_DEVICE_ADDRESS_BITS"),
    "compute_units": same("CL_DEVICE_MAX_COMPUTE_UNITS"),
    "clock_mhz": same("CL_DEVICE_MAX_CLOCK_FREQUENCY"),
    "max_sub_devices": same("CL_DEVICE_PARTITION_MAX_SUB_DEVICES"),
    "max_work_group": same("CL_DEVICE_MAX_WORK_GROUP_SIZE"),
    "max_work_item": lambda d: d["CL_DEVICE_MAX_WORK_ITEM_SIZES"][:3],
    "memory_bytes": same("CL_DEVICE_GLOBAL_MEM_SIZE"),
    "max_alloc_bytes": same("CL_DEVICE_MAX_MEM_ALLOC_SIZE"),
    "cache_bytes": lambda d: d.get("CL_DEVICE_GLOBAL_MEM_CACHE_SIZE", 0),
    "local_memory_bytes": same("CL_DEVICE_LOCAL_MEM_SIZE"),
    "local_memory_dedicated": lambda d: d["CL_DEVICE_LOCAL_MEM_TYPE"] == "CL_LOCAL",
    "constant_buffer_bytes": same("CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE"),
    "base_align_bytes": lambda d: d["CL_DEVICE_MEM_BASE_ADDR_ALIGN"] // 8,
    "unified_memory": lambda d: d["CL_DEVICE_HOST_UNIFIED_MEMORY"] or kind(d) == "CPU",
    "fp16": has("cl_khr_fp16"),
    "fp64": has("cl_khr_fp64"),
    "images": same("CL_DEVICE_IMAGE_SUPPORT"),
    "native_kernel": bit("CL_DEVICE_EXECUTION_CAPABILITIES", 1),
    "out_of_order": lambda d: bool(
        d.get("CL_DEVICE_QUEUE_ON_HOST_PROPERTIES", d.get("CL_DEVICE_QUEUE_PROPERTIES"))["raw"] & 1),
    "max_sub_groups": lambda d: d.get("CL_DEVICE_MAX_NUM_SUB_GROUPS", 0),
    "simd_floats": lambda d: max(d["CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT"], d["CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT"]),
    "timer_resolution_ns": same("CL_DEVICE_PROFILING_TIMER_RESOLUTION"),
    "extensions": lambda d: d["CL_DEVICE_EXTENSIONS"].split(),
    "uuid": lambda d: d.get("CL_DEVICE_UUID_KHR", "").replace("-", "") or None,
    "pci": pci,
    "preferred_widths": lambda d: {
        name: d["CL_DEVICE_PREFERRED_VECTOR_WIDTH_" + name.upper()]
        for name in ("char", "short", "int", "long", "half", "float", "double")},
}
# Ours alone: decided by Tutti, not by one query.
OWN = {"id", "index", "usable", "reason", "duplicate_of", "sub_groups", "sub_group_size",
       "compute_capability", "bf16_dot", "quirks"}
PLATFORM = {
    "name": lambda p: text(p["CL_PLATFORM_NAME"]),
    "vendor": lambda p: text(p["CL_PLATFORM_VENDOR"]),
    "version": lambda p: text(p["CL_PLATFORM_VERSION"]),
    "profile": same("CL_PLATFORM_PROFILE"),
    "extensions": lambda p: p["CL_PLATFORM_EXTENSIONS"].split(),
}


def run(command, environment):
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, f"{command}: exit {done.returncode}: {done.stderr.decode()}"
    return json.loads(done.stdout.decode())


def compare(what, ours, theirs, table):
    wrong = [f"{what}: {name}: probe {ours[name]!r}, clinfo {wanted(theirs)!r}"
             for name, wanted in table.items() if ours[name] != wanted(theirs)]
    return wrong


def check(title, **extra):
    # Without a limit PoCL derives its memory from what is free at the moment.
    environment = dict(os.environ, POCL_MEMORY_LIMIT="1", **extra)
    probe = run([PROBE, "--json"], environment)
    clinfo = run(["clinfo", "--json"], environment)
    assert probe["schema_version"] == 1, probe["schema_version"]
    theirs = {}
    for platform, devices in zip(clinfo["platforms"], clinfo["devices"]):
        theirs.setdefault(text(platform["CL_PLATFORM_NAME"]), []).append((platform, devices["online"]))
    wrong, count = [], 0
    for platform in probe["platforms"]:
        other, devices = theirs[platform["name"]].pop(0)
        wrong += compare(platform["name"], platform, other, PLATFORM)
        if len(devices) != len(platform["devices"]):
            wrong.append(f"{platform['name']}: {len(platform['devices'])} devices, clinfo has {len(devices)}")
        for device, expected in zip(platform["devices"], devices):
            count += 1
            wrong += compare(f"{platform['name']}/{device['index']}", device, expected, FIELDS)
            unknown = set(device) - set(FIELDS) - OWN
            assert not unknown, f"fields that no check covers: {unknown}"
    wrong += [f"clinfo has platform {name}, the probe has not" for name, left in theirs.items() if left]
    assert not wrong, title + ":\n  " + "\n  ".join(wrong)
    assert count > 0, title + ": no device"
    print(f"{title}: {count} devices, {len(FIELDS)} fields each")


def main():
    check("as installed")
    check("twins", POCL_DEVICES="pthread basic pthread")
    with tempfile.TemporaryDirectory() as directory:
        if os.path.exists(OCLGRIND):
            with open(os.path.join(directory, "grind.icd"), "w", encoding="ascii") as file:
                file.write(OCLGRIND + "\n")
            check("oclgrind", OCL_ICD_VENDORS=directory)
        source = os.environ.get("OCL_ICD_VENDORS", "/etc/OpenCL/vendors")
        for name in os.listdir(source) if os.path.isdir(source) else []:
            if name.endswith(".icd"):
                os.symlink(os.path.join(os.path.abspath(source), name), os.path.join(directory, name))
        check("all together", OCL_ICD_VENDORS=directory)


main()
