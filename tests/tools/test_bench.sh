#!/usr/bin/env bash
# tutti-bench from outside: options, exit codes, messages; each benchmark at its smallest, as tables and as JSON.
#   test_bench.sh BUILD_DIRECTORY SOURCE_DIRECTORY
set -u
build=$1
source_dir=$2
program=$build/bin/tutti-bench
. "$source_dir/tests/tool.sh"
export TUTTI_BENCH_QUICK=1

json() { # a Python expression about the document d and its rows
    /usr/bin/python3 - "$dir/out" "$1" <<'END' || fail "$last: not so: $1"
import json, sys
d = json.load(open(sys.argv[1]))
rows = d["rows"]
def of(kind): return [row for row in rows if row["kind"] == kind]
sys.exit(0 if eval(sys.argv[2], globals()) else 1)
END
}

# Options.
documents json select filter rounds peers kernels precisions help version
for noun in ops gemm conv train start replay; do
    says "^  $noun "
    grep -q "^.It Cm $noun" "$source_dir/docs/man/tutti-bench.1" || fail "the man page lacks $noun"
done
expect 0 --version
says '^tutti-bench [0-9]*\.[0-9]*\.[0-9]*$'
expect 2
complains "what to measure is missing"
expect 2 digging
complains "there is no benchmark digging, only ops, gemm, conv, train, start and replay;"
expect 2 train surplus
complains "unexpected argument 'surplus'"
expect 2 train --unknown
complains "unknown option '--unknown'; see tutti-bench --help"
expect 2 train --rounds
complains "option '--rounds' needs a value"
expect_lost --help
expect_lost --version
for rounds in 6 -7 x 7x '' 1000; do
    expect 2 train --rounds "$rounds"
    lines 1
    complains "from 7 to 999, not $rounds"
done
expect 2 train --peers torch,caffe
complains 'train has no peer "caffe", only torch'
expect 2 train --filter 'no*'
lines 1
complains "filter no\* takes nothing of train, which has mlp, lenet, resnet20, gpt;"
expect 2 gemm --filter mlp
complains "mlp.784-512.forward, .*square.2048;"
silent_out
expect 2 train --filter mlp --filter gpt
complains "filter is given twice: mlp and gpt"
expect 2 ops --peers torch
complains "ops has no peers;"
expect 5 train --select 'cpu..'
lines 1
OCL_ICD_VENDORS=$dir expect 3 train
lines 1

# Ops: x and z read, the sum written.
expect 0 ops --filter 'add' --json
json 'len(of("op")) == 1 and abs(of("op")[0]["mib"] - 3 * 64 * 1024 * 4 / 2**20) < 1e-9'
json 'of("op")[0]["gb_per_s"] > 0.01 and of("op")[0]["share"] > 0 and of("op")[0]["launches"] == 1'
for op in cross_entropy.grad batch_norm.both 'attention.*' adam argmax; do
    expect 0 ops --filter "$op"
    says "^${op%\*}"
done

# Products; every form, none needed twice.
expect 0 gemm --filter 'mlp.512-10.*' --peers none --json
json 'sorted(row["form"] for row in of("gemm")) == ["NN", "NT", "TN"] and len(of("mean")) == 1'
json '{(r["m"], r["n"], r["k"]) for r in of("gemm")} == {(128, 10, 512), (128, 512, 10), (10, 512, 128)}'
json 'all(0.01 < row["tutti"] <= row["tutti_best"] < 1e5 and row["share"] > 0 for row in of("gemm"))'
json 'all(row["openblas"] is None and row["clblast"] is None for row in of("gemm"))'
expect 0 gemm --filter 'square.256' --peers openblas,clblast
says '^square.256  *NN *256 *256 *256 '
expect 2 gemm --kernels
complains "kernels is only for train"
expect 2 gemm --precisions
complains "precisions is only for train"
expect 2 gemm --peers torch

# Convolutions.
expect 0 conv --filter 'resnet20.64-64.*' --json
json '[row["name"].split(".")[-1] for row in of("conv")] == ["forward", "data", "weight"]'
json 'all(0.01 < row["tutti"] <= row["tutti_best"] and row["share"] > 0 for row in of("conv"))'
# 2 * 64 * 64 * 64 * 8 * 8 * 9 operations each.
json 'all(abs(row["tutti"] * row["us"] * 1e3 / 301989888 - 1) < 1e-6 for row in of("conv"))'
expect 0 conv --filter 'lenet.1-32.*' --peers none
says '^lenet.1-32.forward .* - '
! grep -q 'lenet.1-32.data' "$dir/out" || fail "$last: there is a gradient that nobody needs"

# Starts: the first compiles, the second does not; nothing is left behind.
mkdir "$dir/tmp"
TMPDIR=$dir/tmp expect 0 start --json
json '[row["caches"] for row in of("start")] == ["cold", "warm"]'
json 'of("start")[0]["compiled"] > 0 == of("start")[1]["compiled"] == of("start")[0]["from_disk"]'
json 'of("start")[1]["from_disk"] + of("start")[1]["from_driver"] > 0'
json '0 < of("start")[1]["first_step_s"] < of("start")[0]["first_step_s"]'
[ -z "$(ls -A "$dir/tmp")" ] || fail "left behind: $(ls "$dir/tmp")"
# Nor by one that is stopped: Ctrl-C goes to all processes of a group.
caches_there() { ls -d "$dir"/tmp/tutti-bench-* >"$dir/caches" 2>&1; }
TMPDIR=$dir/tmp setsid "$program" start >"$dir/out" 2>"$dir/err" &
for _ in $(seq 300); do
    caches_there && break
    sleep 0.1
done
caches_there || fail "start made no caches"
kill -TERM -- "-$!"
wait $!
for _ in $(seq 100); do
    ! caches_there && break
    sleep 0.1
done
! caches_there || fail "left behind by one that was stopped: $(ls "$dir/tmp")"
TMPDIR=$dir/none expect 1 start
complains "TMPDIR.*No such file"

# Replay.
expect 0 replay --json
json '[(r["name"], r["launches"] > 0) for r in rows] == [("one", 1), ("eight", 1), ("training", 1)]'
json 'rows[0]["launches"] == 1 and rows[1]["launches"] == 8 and all(row["ratio"] > 0 for row in rows)'

# Training, and a peer whose script is missing, ends early, answers.
expect 0 train --filter mlp --json --kernels
json 'd["schema_version"] == 1 and d["benchmark"] == "train" and d["rounds"] == 7'
json 'd["limits"]["fma_gflops"] > 0.1 and d["limits"]["copy_gb_per_s"] > 0.1 and d["device"]["id"]'
json 'len(of("train")) == 1 and of("train")[0]["net"] == "mlp" and of("train")[0]["batch"] == 128'
json 'all(0 < of("train")[0]["best_ms"] <= of("train")[0]["ms_per_step"] < 1e5 for _ in [0])'
json 'of("train")[0]["gflops"] > 0.1 and abs(of("train")[0]["gflops"] / of("train")[0]["share"]
      / d["limits"]["fma_gflops"] - 1) < 1e-9'
# Labels are random, so the loss stays near that of guessing, or sinks as they are learnt by heart.
json '0 <= of("train")[0]["loss"] < 3 and of("train")[0]["peak_mib"] > 1'
# Three layers: as many forward products and weight gradients, one gradient of the data less.
json 'sum(row["count"] for row in of("kernel") if "matmul" in row["op"]) == 8'
# Medians do not add up on a busy machine.
json '0.01 < sum(row["share"] for row in of("kernel")[:-1]) < 2.5 and of("kernel")[-1]["share"] == 1'
json 'all(row.keys() == of("kernel")[-1].keys() for row in of("kernel")) and of("kernel")[-1]["in2"] is None'
TUTTI_BENCH_PYTHON=$dir/none expect 0 train --filter mlp --peers torch,torch-openmp,tinygrad
for peer in torch torch-openmp tinygrad; do says "^mlp *$peer *$dir/none cannot be run (TUTTI_BENCH_PYTHON)"; done
for peer in torch tinygrad; do
    /usr/bin/python3 "$source_dir/tools/bench_$peer.py" --help >"$dir/out" 2>"$dir/err" || fail "bench_$peer.py --help"
    says "rounds N"
done
cat >"$dir/two.json" <<'END'
{"determinism": "reproducible", "devices": [{"match": {"platform": "Portable*"}, "partition": [1, 1]}]}
END
expect 0 train --filter mlp --select "$dir/two.json"
expect 5 ops --filter add --select "$dir/two.json"
complains "two.json has several sub-devices"
silent_out
mkdir "$dir/scripts"
TUTTI_BENCH_SCRIPTS=$dir/scripts expect 0 train --filter mlp --peers torch
says "mlp *torch *its script is missing: $dir/scripts/bench_torch.py (TUTTI_BENCH_SCRIPTS)"
BENCH_OPENBLAS=$dir/none expect 0 train --filter mlp --peers torch-openmp
says "mlp *torch-openmp *no libblas.so.3 in $dir/none (BENCH_OPENBLAS)"
cat >"$dir/scripts/bench_torch.py" <<'END'
import os, sys
if "--openmp" in sys.argv:
    os.kill(os.getpid(), 9)
print("problem: no luck")
END
TUTTI_BENCH_SCRIPTS=$dir/scripts expect 0 train --filter mlp --peers torch,torch-openmp
says "mlp *torch *no luck"
says "mlp *torch-openmp *its script ended early (signal 9, Killed)"
cat >"$dir/scripts/bench_torch.py" <<'END'
import json, sys
print("a library says hello\nready", flush=True)
for n, line in enumerate(sys.stdin):
    print(json.dumps([{"variant": "odd", "s_per_step": 10.0 + n, "peak_mib": 5},
                      {"variant": sys.argv[1], "s_per_step": 1.0, "peak_mib": 6}]), flush=True)
END
TUTTI_BENCH_SCRIPTS=$dir/scripts expect 0 train --filter mlp --peers torch --json --rounds 8
json '[(r["variant"], r["ms_per_step"], r["best_ms"], r["peak_mib"]) for r in of("train")[1:]] == [
      ("odd", 13500, 10000, 5), ("mlp", 1000, 1000, 6)]'
json 'all(r.keys() == of("train")[0].keys() for r in of("train")) and of("train")[1]["gflops"] is None'
json 'abs(of("train")[1]["ratio"] * of("train")[0]["ms_per_step"] / 13500 - 1) < 1e-9'

[ "$failures" -eq 0 ] || exit 1
echo "all good"
