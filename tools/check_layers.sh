#!/usr/bin/env bash
# Fails when a file of runtime/ includes a layer above its own (see runtime/README.md), or OpenCL's headers outside
# of device/, kernel/ and exec/.
#   tools/check_layers.sh [source directory]
set -eu
cd "${1:-$(dirname "$0")/..}"

awk '
BEGIN {
    # What each directory may include besides itself and the public headers.
    allowed["base"] = ""
    allowed["profile"] = "base"
    allowed["comm"] = "base"
    allowed["device"] = "base profile"
    allowed["kernel"] = "base profile device"
    allowed["graph"] = "base op"
    allowed["op"] = "base graph"
    allowed["nn"] = "base graph op"
    allowed["sched"] = "base"
    allowed["plan"] = "base graph op kernel device sched"
    allowed["exec"] = "base graph kernel device comm plan sched"
    allowed["data"] = "base"
    allowed["report"] = "base"
    allowed["train"] = "base data report"
}
FNR == 1 {
    split(FILENAME, path, "/")
    here = path[2]
    files++
    if (!(here in allowed)) {
        printf "%s: directory %s has no layer in tools/check_layers.sh\n", FILENAME, here
        bad = 1
    }
}
match($0, /^[ \t]*#[ \t]*include[ \t]+["<][^">]+/) {
    name = $0
    sub(/^[^"<]*["<]/, "", name)
    sub(/[">].*/, "", name)
    if (name ~ /^(CL\/|clblast)/ && here != "device" && here != "kernel" && here != "exec") {
        printf "%s:%d: %s is only for device/, kernel/ and exec/\n", FILENAME, FNR, name
        bad = 1
    }
    slash = index(name, "/")
    if (slash == 0)
        next
    there = substr(name, 1, slash - 1)
    if (there == here || !(there in allowed))
        next
    if ((" " allowed[here] " ") !~ (" " there " ")) {
        printf "%s:%d: %s/ must not include %s\n", FILENAME, FNR, here, name
        bad = 1
    }
}
END {
    if (files == 0) {
        print "no files under runtime/"
        bad = 1
    }
    exit bad
}' runtime/*/*.[ch]
echo "layers: good"
