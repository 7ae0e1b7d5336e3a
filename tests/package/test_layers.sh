#!/usr/bin/env bash
# The layer check passes on the tree and finds what it is there to find.
set -u
source=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bash "$source/tools/check_layers.sh" "$source" || exit 1
mkdir -p "$dir/runtime/base" "$dir/runtime/graph"
echo '#include "graph/graph.h"' >"$dir/runtime/base/a.c"
bash "$source/tools/check_layers.sh" "$dir" && { echo "an upward include passed"; exit 1; }
echo '#include <CL/cl.h>' >"$dir/runtime/graph/a.c"
echo >"$dir/runtime/base/a.c"
bash "$source/tools/check_layers.sh" "$dir" && { echo "OpenCL in graph/ passed"; exit 1; }
echo '#include "base/arena.h"' >"$dir/runtime/graph/a.c"
bash "$source/tools/check_layers.sh" "$dir" || exit 1
