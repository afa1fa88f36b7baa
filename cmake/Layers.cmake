# One static library per layer folder. A folder without sources is left out, so that layers can be
# written in any order. The allowed directions are checked by tools/check_layers.py (lint.layers);
# the link lines below only say what the linker needs.
add_library(tm_layers INTERFACE) # everything there is, for the program and the tests
set(TM_LAYERS "")

function(tm_layer name)
  cmake_parse_arguments(arg "GNU" "" "USES;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS src/${name}/*.c src/${name}/*/*.c)
  list(FILTER sources EXCLUDE REGEX "/src/cli/main\\.c$")
  if(NOT sources)
    return()
  endif()
  add_library(tm_${name} STATIC ${sources})
  target_link_libraries(tm_${name} PRIVATE tm_flags)
  target_link_libraries(tm_${name} PUBLIC m Threads::Threads ${arg_LINK})
  foreach(used ${arg_USES})
    if(TARGET tm_${used})
      target_link_libraries(tm_${name} PUBLIC tm_${used})
    endif()
  endforeach()
  if(arg_GNU)
    target_compile_definitions(tm_${name} PRIVATE _GNU_SOURCE)
  endif()
  # engine/ defines tide_*; its other symbols are hidden by the version script and by objcopy.
  if(NOT name STREQUAL "engine")
    target_compile_options(tm_${name} PRIVATE -fvisibility=hidden)
  endif()
  set_target_properties(tm_${name} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/layers)
  target_link_libraries(tm_layers INTERFACE tm_${name})
  set(TM_LAYERS ${TM_LAYERS} ${name} PARENT_SCOPE)
endfunction()

tm_layer(base LINK tm_blake3)
tm_layer(format USES base)
tm_layer(core USES format base)
tm_layer(env GNU USES base LINK PkgConfig::UV)
tm_layer(engine USES core env format base)
tm_layer(server GNU USES engine env base LINK PkgConfig::MHD PkgConfig::UV
  PkgConfig::JANSSON)
tm_layer(cli GNU USES server engine env format base)
