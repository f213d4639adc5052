# holdfast.node: all rooms in one shared library, loaded by the pinned Node binary (docs/architecture.md section 2).
if(TARGET hf_server)
  add_library(holdfast MODULE ${CMAKE_SOURCE_DIR}/cmake/empty.cc)
  # server/ holds the entry point, which nobody calls by name: it is linked whole. The rest comes as it is needed.
  target_link_libraries(holdfast PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,hf_server>" hf_runtime_js)
  hf_addon_link(holdfast)
  set_target_properties(holdfast PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endif()

# The launcher beside it, so that the build folder can be run, moved and packed as a whole.
configure_file(${CMAKE_SOURCE_DIR}/cli/holdfast ${CMAKE_BINARY_DIR}/bin/holdfast COPYONLY)
configure_file(${CMAKE_SOURCE_DIR}/cli/main.cjs ${CMAKE_BINARY_DIR}/main.cjs COPYONLY)

# For test/crash: makes system calls fail below our own Disk, in a real server.
foreach(preload fault_preload clock_preload)
  add_library(${preload} MODULE ${CMAKE_SOURCE_DIR}/test/crash/preload/${preload}.c)
  target_compile_options(${preload} PRIVATE -Wall -Wextra -Werror)
  target_link_libraries(${preload} PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(${preload} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endforeach()
