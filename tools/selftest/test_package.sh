#!/bin/bash
# An installed tree serves programs that use pkg-config, statically too, and ones that use CMake: the
# examples and README.md's program are built in each of these ways and run. C++ programs can include the header.
#   tools/selftest/test_package.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
examples=$(cd "$(dirname "$0")/../../examples" && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-test_package-XXXXXX")
trap 'rm -rf "$root"' EXIT
cmake --install "$build" --prefix "$root/usr" >"$root/log" || { cat "$root/log"; exit 1; }
mkdir "$root/app"
cat >"$root/app/version.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <tidemark.h>
int main(void)
{
    puts(tide_version());
    return strcmp(tide_version(), TIDE_VERSION) != 0;
}
C
cp "$examples"/*.c "$root/app"
sed -n '/^```c$/,/^```$/p' "$examples/../README.md" | sed '/^```/d' >"$root/app/readme.c"
grep -q tide_open "$root/app/readme.c" || { echo "README.md shows no program"; exit 1; }
cat >"$root/app/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(Tidemark 0.1 REQUIRED)
find_package(Threads REQUIRED)
file(GLOB sources *.c)
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  foreach(form tidemark static)
    add_executable(${name}_${form} ${source})
    target_link_libraries(${name}_${form} Tidemark::${form} Threads::Threads)
  endforeach()
endforeach()
C
pc=$(find "$root/usr" -name tidemark.pc)
lib=$(cd "$(dirname "$pc")/.." && pwd)
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
cd "$root/app"

# Each program, on a directory of its own.
run() { "$1" "$root/data-$(basename "$1")-${2:-shared}" >"$root/log" || { cat "$root/log"; echo "$1 failed"; exit 1; }; }

for source in *.c; do
    name=${source%.c}
    # shellcheck disable=SC2046
    cc -Wall -Wextra -Werror -o "$name-shared" "$source" $(pkg-config --cflags --libs tidemark) -pthread
    run "./$name-shared"
    cc -Wall -Wextra -Werror -o "$name-static" "$source" $(pkg-config --cflags tidemark) \
        "$lib/libtidemark.a" $(pkg-config --static --libs-only-l tidemark | sed 's/-ltidemark//')
    (unset LD_LIBRARY_PATH && run "./$name-static")
done
cmake -S . -B b -DCMAKE_PREFIX_PATH="$root/usr" >"$root/log" && cmake --build b >>"$root/log" || { cat "$root/log"; exit 1; }
for source in *.c; do
    run "b/${source%.c}_tidemark" cmake
    run "b/${source%.c}_static" cmake
done

echo '#include <tidemark.h>' >header.cc
for standard in c++11 c++20; do
    # shellcheck disable=SC2046
    clang++-14 -std=$standard -fsyntax-only -Wall -Wextra -Wpedantic -Werror header.cc $(pkg-config --cflags tidemark)
done
