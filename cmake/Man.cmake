# Man pages from docs/man/*.scd, where scdoc is installed; the program does not need them.
find_program(SCDOC scdoc)
if(NOT SCDOC)
  return()
endif()

file(GLOB man_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.scd)
set(man_pages "")
foreach(source ${man_sources})
  get_filename_component(name ${source} NAME_WLE)
  string(REGEX MATCH "[0-9]$" section ${name})
  set(page ${PROJECT_BINARY_DIR}/man/${name})
  add_custom_command(OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
    COMMAND ${SCDOC} < ${source} > ${page}
    DEPENDS ${source} VERBATIM COMMENT "Making ${name}")
  list(APPEND man_pages ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
add_custom_target(tidemark_man ALL DEPENDS ${man_pages})
