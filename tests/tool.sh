# For scripts that test a tool from outside; they set `program` and source this. `dir` is a directory
# that goes away with the script, out and err in it are what the last `expect` wrote.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$dir/out" "$dir/err" | head -n 30
    failures=$((failures + 1))
}
# expect CODE ARGUMENT...: runs the program
expect() {
    local wanted=$1 code=0
    shift
    "$program" "$@" >"$dir/out" 2>"$dir/err" || code=$?
    last="$(basename "$program") $*"
    [ "$code" -eq "$wanted" ] || fail "$last: exit $code, expected $wanted"
}
# expect_lost ARGUMENT...: the program fails where its output cannot be written
expect_lost() {
    local code=0
    [ -e /dev/full ] || return 0
    "$program" "$@" >/dev/full 2>"$dir/err" || code=$?
    last="$(basename "$program") $* >/dev/full"
    [ "$code" -eq 1 ] || fail "$last: exit $code"
    lines 1
    complains "cannot write to standard output"
}
says() { grep -qe "$1" "$dir/out" || fail "$last: standard output lacks \"$1\""; }
complains() { grep -qe "$1" "$dir/err" || fail "$last: standard error lacks \"$1\""; }
silent_out() { [ ! -s "$dir/out" ] || fail "$last: standard output is not empty"; }
silent() { [ ! -s "$dir/err" ] || fail "$last: standard error is not empty"; }
lines() { [ "$(wc -l <"$dir/err")" -eq "$1" ] || fail "$last: standard error has not $1 lines"; }
# The help and the man page, with these options.
documents() {
    local option
    expect 0 --help
    silent
    for option in "$@"; do
        says "--$option"
        grep -q -- "$option" "$source_dir/docs/man/$(basename "$program").1" || fail "the man page lacks --$option"
    done
}
