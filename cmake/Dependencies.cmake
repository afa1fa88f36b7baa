# Libraries that are used instead of being written. Nothing is downloaded or copied into the tree.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(MHD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson) # server and program; never the library
pkg_check_modules(XXHASH REQUIRED libxxhash) # header only: XXH_INLINE_ALL
if(TIDEMARK_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()

# BLAKE3: the system's library, else the official C and assembler sources that Debian's
# librust-blake3-dev installs, built here with hidden symbols.
pkg_check_modules(BLAKE3 IMPORTED_TARGET libblake3)
if(BLAKE3_FOUND)
  add_library(tm_blake3 ALIAS PkgConfig::BLAKE3)
else()
  file(GLOB blake3_dirs /usr/share/cargo/registry/blake3-*/c)
  list(SORT blake3_dirs COMPARE NATURAL ORDER DESCENDING)
  if(NOT blake3_dirs)
    message(FATAL_ERROR "BLAKE3 is missing: install libblake3 or Debian's librust-blake3-dev "
      "(tools/deps.sh does it)")
  endif()
  list(GET blake3_dirs 0 blake3_dir)
  set(blake3_sources blake3.c blake3_dispatch.c blake3_portable.c)
  if(TIDEMARK_SANITIZE MATCHES "memory") # what assembler writes is unknown to it
    add_compile_definitions(BLAKE3_NO_SSE2 BLAKE3_NO_SSE41 BLAKE3_NO_AVX2 BLAKE3_NO_AVX512
      BLAKE3_USE_NEON=0)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    enable_language(ASM)
    list(APPEND blake3_sources blake3_sse2_x86-64_unix.S blake3_sse41_x86-64_unix.S
      blake3_avx2_x86-64_unix.S blake3_avx512_x86-64_unix.S)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    list(APPEND blake3_sources blake3_neon.c)
  endif()
  list(TRANSFORM blake3_sources PREPEND ${blake3_dir}/)
  add_library(tm_blake3 STATIC ${blake3_sources})
  target_compile_options(tm_blake3 PRIVATE -w -fvisibility=hidden -O2)
  target_include_directories(tm_blake3 SYSTEM PUBLIC ${blake3_dir})
  set_target_properties(tm_blake3 PROPERTIES ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/layers)
endif()
