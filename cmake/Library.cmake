# The embeddable library in both forms, with tide_* as its only visible symbols. Short internal
# names and the assembler symbols of BLAKE3 would clash with a user's otherwise.
if(NOT EXISTS ${PROJECT_SOURCE_DIR}/src/engine/api.c OR TIDEMARK_SANITIZE)
  return()
endif()

set(library_objects "")
foreach(name base format core env engine)
  if(name IN_LIST TM_LAYERS)
    list(APPEND library_objects $<TARGET_OBJECTS:tm_${name}>)
  endif()
endforeach()
set(library_private_requires "libuv")
if(BLAKE3_FOUND)
  string(APPEND library_private_requires " libblake3")
else()
  list(APPEND library_objects $<TARGET_OBJECTS:tm_blake3>)
endif()

set(version_script ${PROJECT_SOURCE_DIR}/cmake/tidemark.map)
add_library(tidemark_shared SHARED ${library_objects})
set_target_properties(tidemark_shared PROPERTIES OUTPUT_NAME tidemark VERSION 0 SOVERSION 0
  LINKER_LANGUAGE C LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} LINK_DEPENDS ${version_script})
target_link_options(tidemark_shared PRIVATE -Wl,--version-script=${version_script} -Wl,-z,defs)
target_link_libraries(tidemark_shared PRIVATE m Threads::Threads PkgConfig::UV)
if(BLAKE3_FOUND)
  target_link_libraries(tidemark_shared PRIVATE PkgConfig::BLAKE3)
endif()

# One relocatable object, everything but tide_* made local, in an archive.
set(archive ${PROJECT_BINARY_DIR}/libtidemark.a)
set(whole ${PROJECT_BINARY_DIR}/layers/tidemark_whole.o)
add_custom_command(OUTPUT ${archive}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
  COMMAND ${CMAKE_LINKER} -r -o ${whole} ${library_objects}
  COMMAND ${CMAKE_OBJCOPY} --wildcard "--keep-global-symbol=tide_*" ${whole}
  COMMAND ${CMAKE_AR} rcs ${archive} ${whole}
  DEPENDS ${library_objects} COMMAND_EXPAND_LISTS VERBATIM
  COMMENT "Making libtidemark.a (tide_* symbols only)")
add_custom_target(tidemark_archive ALL DEPENDS ${archive})

install(TARGETS tidemark_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/tidemark.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# What users of pkg-config and find_package(Tidemark) need.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tidemark)
configure_package_config_file(cmake/TidemarkConfig.cmake.in ${PROJECT_BINARY_DIR}/TidemarkConfig.cmake
  INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/TidemarkConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/TidemarkConfig.cmake
  ${PROJECT_BINARY_DIR}/TidemarkConfigVersion.cmake DESTINATION ${package_dir})
# Relative to the file itself, so that an installed tree can be moved and `--prefix` works.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_prefix ${pc_prefix})
configure_file(cmake/tidemark.pc.in ${PROJECT_BINARY_DIR}/tidemark.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tidemark.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
