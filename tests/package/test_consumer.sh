#!/usr/bin/env bash
# Installs into a temporary prefix and builds a small program outside the tree: with find_package and with pkg-config, each
# with the shared and with the static library. Also checks SONAME and that only tutti_ names are exported.
set -eu
build=$1 source=$2
here=$source/tests/package/consumer
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sanitize=$(sed -n 's/^TUTTI_SANITIZE:STRING=//p' "$build/CMakeCache.txt")
flags=${sanitize:+-fsanitize=$sanitize}

cmake --install "$build" --prefix "$dir/usr" >"$dir/log" || { cat "$dir/log"; exit 1; }
cmake -S "$here" -B "$dir/cmake" -DCMAKE_PREFIX_PATH="$dir/usr" -DCMAKE_C_FLAGS="$flags" >"$dir/log" 2>&1 &&
    cmake --build "$dir/cmake" >>"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
"$dir/cmake/consumer_shared"
"$dir/cmake/consumer_static"

for profile in "$dir"/usr/share/tutti/profiles/*.json; do
    schema=$(sed -n 's/.*"\$schema": "\(.*\)".*/\1/p' "$profile")
    [ -n "$schema" ] && [ -f "$(dirname "$profile")/$schema" ] || { echo "$profile: no schema at \"$schema\""; exit 1; }
done
cmp "$source/docs/profile.schema.json" "$dir/usr/share/tutti/profile.schema.json"

libdir=$(dirname "$(find "$dir/usr" -name libtutti.so | head -n 1)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
# shellcheck disable=SC2046,SC2086
gcc -std=c11 $flags "$here/main.c" $(pkg-config --cflags --libs tutti) -lm -Wl,-rpath,"$libdir" -o "$dir/pc"
"$dir/pc"
# The first C programs of the README and of docs/training.md: as they stand, without warnings, from the source tree.
for document in README docs/training; do
    name=$(basename "$document")
    awk '/^```c$/ {on = 1; next} /^```$/ {if (on) exit} on' "$source/$document.md" >"$dir/$name.c"
    for compiler in gcc clang; do
        command -v $compiler >/dev/null || continue
        # shellcheck disable=SC2046,SC2086
        $compiler -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Werror $flags "$dir/$name.c" $(pkg-config --cflags --libs tutti) \
            -Wl,-rpath,"$(pkg-config --variable=libdir tutti)" -o "$dir/${name}_$compiler"
    done
done
(cd "$source" && "$dir/README_gcc") | tee "$dir/out"
grep -qE '^loss 0\.[0-9]+, ' "$dir/out" || { echo "the README's program did not learn"; exit 1; }
(cd "$dir" && ./training_gcc) | tee "$dir/out"
grep -qE '^loss 0\.[0-9]+, accuracy (9[0-9]|100)\.' "$dir/out" && grep -q '^(0.0, 0.0) is not in' "$dir/out" &&
    grep -q '^(0.6, 0.0) is in' "$dir/out" && [ -s "$dir/ring.safetensors" ] ||
    { echo "the program of docs/training.md did not learn"; exit 1; }
mkdir "$dir/static"
cp "$libdir/libtutti.a" "$dir/static"
# shellcheck disable=SC2046,SC2086
gcc -std=c11 $flags "$here/main.c" -L"$dir/static" -Wl,-Bstatic $(pkg-config --cflags --libs --static tutti |
    sed 's/-ltutti/-ltutti -Wl,-Bdynamic/') -o "$dir/pc_static"
"$dir/pc_static"
! readelf -d "$dir/pc_static" | grep -q libtutti || { echo "pkg-config --static: linked with the shared library"; exit 1; }

readelf -d "$libdir/libtutti.so" | grep -q 'SONAME.*libtutti\.so\.0\]' || { echo "wrong SONAME"; exit 1; }
exported=$(nm -D --defined-only "$libdir/libtutti.so" | awk '{print $3}' | grep -vE '^(tutti_|__asan|__odr_asan|__sanitizer)' || true)
[ -z "$exported" ] || { echo "exported besides tutti_*: $exported"; exit 1; }
# Internal names stay inside.
if nm -D --defined-only "$libdir/libtutti.so" | grep -qw tutti_arena_alloc; then
    echo "tutti_arena_alloc is exported"
    exit 1
fi
# Every function that the installed headers declare is there.
grep -rhoE 'TUTTI_API[^;]*' "$dir/usr/include/tutti" --include='*.h' -z | tr '\0' '\n' | tr '\n' ' ' | tr ';' '\n' |
    grep -oE '\btutti_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u >"$dir/declared"
nm -D --defined-only "$libdir/libtutti.so" | awk '{print $3}' | sort -u >"$dir/defined"
gone=$(comm -23 "$dir/declared" "$dir/defined" | grep -vxE 'tutti_extent_const|tutti_extent_value' || true)
[ -z "$gone" ] || { echo "declared but not exported: $gone"; exit 1; }
echo "$(wc -l <"$dir/declared") functions declared and exported"
