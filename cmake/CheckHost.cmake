# The addon is compiled against the headers of one Node build and loaded by its binary. What would change the layout of
# V8's types is read from the host's own configuration, so that an update of the pin cannot go wrong silently.
set(config ${HF_NODE_DIR}/include/node/config.gypi)
if(NOT EXISTS ${config} OR NOT EXISTS ${HF_NODE_DIR}/bin/node)
  message(FATAL_ERROR "The Node host is missing: run `make` (or `npm ci`) first.")
endif()
file(READ ${config} host)
foreach(option v8_enable_pointer_compression v8_enable_sandbox v8_enable_31bit_smis_on_64bit_arch
               v8_enable_external_code_space v8_use_perfetto v8_enable_v8_checks)
  if(NOT host MATCHES "\"${option}\": 0")
    message(FATAL_ERROR "The Node host is built with ${option}: add its define to HF_V8_DEFINITIONS in cmake/Room.cmake")
  endif()
endforeach()
if(NOT host MATCHES "\"node_shared_openssl\": \"false\"" OR NOT host MATCHES "\"node_shared_zlib\": \"false\"")
  message(FATAL_ERROR "The Node host does not bring its own OpenSSL and zlib")
endif()
