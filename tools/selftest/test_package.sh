#!/bin/bash
# An installed tree serves a program that uses pkg-config, statically too, and one that uses CMake.
#   tools/selftest/test_package.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-test_package-XXXXXX")
trap 'rm -rf "$root"' EXIT
cmake --install "$build" --prefix "$root/usr" >"$root/log" || { cat "$root/log"; exit 1; }
mkdir "$root/app"
cat >"$root/app/app.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <tidemark.h>
int main(void)
{
    puts(tide_version());
    return strcmp(tide_version(), TIDE_VERSION) != 0;
}
C
cat >"$root/app/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(Tidemark 0.1 REQUIRED)
foreach(form tidemark static)
  add_executable(app_${form} app.c)
  target_link_libraries(app_${form} Tidemark::${form})
endforeach()
C
pc=$(find "$root/usr" -name tidemark.pc)
lib=$(cd "$(dirname "$pc")/.." && pwd)
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
cd "$root/app"
# shellcheck disable=SC2046
cc -Wall -Werror -o shared app.c $(pkg-config --cflags --libs tidemark)
./shared
cc -Wall -Werror -o static app.c $(pkg-config --cflags tidemark) "$lib/libtidemark.a" \
    $(pkg-config --static --libs-only-l tidemark | sed 's/-ltidemark//')
env -u LD_LIBRARY_PATH ./static
cmake -S . -B b -DCMAKE_PREFIX_PATH="$root/usr" >"$root/log" && cmake --build b >>"$root/log" || { cat "$root/log"; exit 1; }
b/app_tidemark
b/app_static
