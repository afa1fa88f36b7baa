# Language, warnings, build types and sanitizers: everything that every target of ours shares.
option(TIDEMARK_TESTS "Build the tests (needs cmocka)" OFF)
option(TIDEMARK_WERROR "Warnings are errors: developers and CI, never users" OFF)
set(TIDEMARK_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined")
set(TIDEMARK_PLANTED_BUG 0 CACHE STRING
    "Number of a deliberate bug compiled in, so that the tests can be tested; 0 = none")

# Asserts stay on in every build type: none of them defines NDEBUG.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Dev or Debug" FORCE)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_DEV "-O1 -g")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(warnings
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Walloca -Wundef
  -Wformat=2 -Wwrite-strings -Wpointer-arith -Wcast-align -Wimplicit-fallthrough
  -Wnull-dereference -Wredundant-decls -Wswitch -Wdate-time)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND warnings -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wformat-signedness
    -Wjump-misses-init -Wtrampolines)
else()
  list(APPEND warnings -Wcomma -Wconditional-uninitialized -Wunreachable-code -Wloop-analysis
    -Wassign-enum -Wmissing-variable-declarations -Wthread-safety
    -Wno-double-promotion) # its INFINITY and NAN are floats in every use of them
endif()
if(TIDEMARK_WERROR)
  list(APPEND warnings -Werror)
endif()

# -ffp-contract=off: scores are compared bit by bit between machines and compilers.
add_library(tm_flags INTERFACE)
target_compile_options(tm_flags INTERFACE ${warnings}
  -fno-common -fno-strict-aliasing -fstack-protector-strong -ffp-contract=off -fno-fast-math
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
target_include_directories(tm_flags INTERFACE ${PROJECT_SOURCE_DIR}/src
  ${PROJECT_SOURCE_DIR}/include)
target_compile_definitions(tm_flags INTERFACE TIDEMARK_PLANTED_BUG=${TIDEMARK_PLANTED_BUG}
  TIDEMARK_VERSION="${PROJECT_VERSION}")

if(TIDEMARK_SANITIZE)
  set(sanitize -fsanitize=${TIDEMARK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_compile_options(${sanitize})
  add_link_options(${sanitize})
elseif(CMAKE_BUILD_TYPE STREQUAL "Dev")
  target_compile_definitions(tm_flags INTERFACE _FORTIFY_SOURCE=2)
endif()
