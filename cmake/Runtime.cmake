# The runtime's own JavaScript: all TypeScript below src/, bundled from one entry into one classic script, and embedded
# into the addon (cmake/embed/hf_runtime_js.h). tools/bundle.mjs says what the script evaluates to.
set(HF_RUNTIME_ENTRY ${CMAKE_SOURCE_DIR}/src/worker/runtime.ts)
set(HF_RUNTIME_JS ${CMAKE_BINARY_DIR}/runtime.js)
file(GLOB_RECURSE runtime_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*.ts)
if(NOT EXISTS ${HF_RUNTIME_ENTRY})
  message(STATUS "No src/worker/runtime.ts: an empty runtime is embedded")
  file(WRITE ${HF_RUNTIME_JS} "(function () {\n  throw new Error('built without src/worker/runtime.ts');\n})\n")
else()
  add_custom_command(
    OUTPUT ${HF_RUNTIME_JS}
    BYPRODUCTS ${HF_RUNTIME_JS}.map
    COMMAND ${HF_NODE_DIR}/bin/node ${CMAKE_SOURCE_DIR}/tools/bundle.mjs ${HF_RUNTIME_ENTRY} ${HF_RUNTIME_JS}
    DEPENDS ${runtime_sources} ${CMAKE_SOURCE_DIR}/tools/bundle.mjs
    COMMENT "Bundling runtime.js"
    VERBATIM)
endif()
add_custom_target(runtime_js DEPENDS ${HF_RUNTIME_JS})
add_library(hf_runtime_js STATIC ${CMAKE_SOURCE_DIR}/cmake/embed/hf_runtime_js.S)
set_source_files_properties(${CMAKE_SOURCE_DIR}/cmake/embed/hf_runtime_js.S PROPERTIES OBJECT_DEPENDS ${HF_RUNTIME_JS})
target_compile_options(hf_runtime_js PRIVATE -Wa,-I${CMAKE_BINARY_DIR})
target_include_directories(hf_runtime_js SYSTEM INTERFACE ${CMAKE_SOURCE_DIR}/cmake/embed)
