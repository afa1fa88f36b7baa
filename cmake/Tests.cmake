# Every tests/unit/<layer>/test_<module>.c (or one folder deeper) is one cmocka program, registered
# as unit.<layer>.<module>. Other kinds of test bring their own CMakeLists.txt.
set(TM_TIMEOUT_S 240) # a busy machine is no failure
if(TIDEMARK_SANITIZE)
  set(TM_TIMEOUT_S 480)
endif()

file(GLOB support CONFIGURE_DEPENDS tests/support/*.c)
add_library(tm_support STATIC ${support})
target_link_libraries(tm_support PRIVATE tm_flags)
target_link_libraries(tm_support PUBLIC PkgConfig::CMOCKA m Threads::Threads)
target_compile_definitions(tm_support PUBLIC _GNU_SOURCE)
target_include_directories(tm_support PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_compile_definitions(tm_support PRIVATE TM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")

# tm_test_program(name source ... [LAYER layer]): a test program with cmocka and tests/support.
# LAYER links that layer and the ones below it, so that a pure layer's test builds while others do
# not; without it every layer is linked.
function(tm_test_program name)
  cmake_parse_arguments(arg "" "LAYER" "" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE tm_flags tm_support)
  if(arg_LAYER AND TARGET tm_${arg_LAYER})
    target_link_libraries(${name} PRIVATE tm_${arg_LAYER})
  else()
    target_link_libraries(${name} PRIVATE tm_layers)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endfunction()

file(GLOB fake_sources CONFIGURE_DEPENDS tests/support/fake/*.c)
file(GLOB unit_tests CONFIGURE_DEPENDS tests/unit/*/test_*.c tests/unit/*/*/test_*.c)
add_custom_target(pure_tests) # of the layers that touch nothing: for the memory sanitizer and coverage
foreach(source ${unit_tests})
  file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/tests/unit ${source})
  string(REGEX REPLACE "test_([^/]*)\\.c$" "\\1" name ${name})
  string(REPLACE "/" "." case_name ${name})
  string(REPLACE "/" "_" program ${name})
  string(REGEX REPLACE "/.*" "" layer ${name})
  tm_test_program(test_${program} ${source} LAYER ${layer})
  if(layer MATCHES "^(base|format|core)$")
    add_dependencies(pure_tests test_${program})
  endif()
  if(layer STREQUAL "server") # tested alone: a stand-in takes the place of the database
    target_sources(test_${program} PRIVATE ${fake_sources})
  endif()
  add_test(NAME unit.${case_name} COMMAND test_${program} WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
  set_tests_properties(unit.${case_name} PROPERTIES TIMEOUT ${TM_TIMEOUT_S} LABELS unit)
endforeach()

foreach(kind sim scenario golden fault crash enum models e2e peers)
  if(EXISTS ${PROJECT_SOURCE_DIR}/tests/${kind}/CMakeLists.txt)
    add_subdirectory(tests/${kind})
  endif()
endforeach()

if(EXISTS ${PROJECT_SOURCE_DIR}/tools/CMakeLists.txt)
  add_subdirectory(tools)
endif()
