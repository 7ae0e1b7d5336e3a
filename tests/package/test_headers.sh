#!/usr/bin/env bash
# Each public header compiles alone, as strict C11 and as C++11, under gcc and clang.
set -u
source=$2
flags="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror -fsyntax-only -I$source/include"
bad=0 count=0
cd "$source/include" || exit 1
for header in tutti/*.h tutti/ext/*.h; do
    for compiler in gcc clang; do
        command -v $compiler >/dev/null || continue
        # shellcheck disable=SC2086
        printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
            $compiler -std=c11 -Wstrict-prototypes -Wmissing-prototypes $flags -x c - || bad=1
        # shellcheck disable=SC2086
        printf '#include "%s"\n' "$header" | $compiler -std=c++11 $flags -x c++ - || bad=1
        count=$((count + 1))
    done
done
# The test can fail: a header that needs another one must be refused.
# shellcheck disable=SC2086
if printf 'size_t x;\n' | gcc -std=c11 $flags -x c - 2>/dev/null; then
    echo "a missing include was not noticed"
    bad=1
fi
echo "$count compilations"
[ "$count" -gt 10 ] && [ "$bad" = 0 ]
