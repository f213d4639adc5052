# room(NAME FLOOR n DEPS a b): a folder under src/ that may include only the rooms it names, all of them on lower
# floors (docs/architecture.md section 3). Builds hf_NAME from *.cc, links NAME_test from *_test.cc, NAME_bench from
# *_bench.cc, NAME_x_fuzz from each x_fuzz.cc. Its include path is made of links to the named rooms only, so another
# room's header does not compile.
#   LIBS  further libraries to link.
#   V8    the room includes v8.h and node.h. Its symbols come from the Node host, so its NAME_test is an addon that the
#         host loads (cmake/gtest_host.cc), and it is built without RTTI, as V8 is: a class derived from one of V8's
#         would otherwise ask for a typeinfo that the host does not have. A file that needs RTTI and derives from no
#         class of V8's says so: set_source_files_properties(x.cc PROPERTIES COMPILE_OPTIONS -frtti).
#   PURE  sources of a V8 room that do not touch V8. They become hf_NAME_pure, with an ordinary NAME_pure_test from
#         their *_test.cc, and are built under the sanitizers too, where V8 rooms are not.
#   BENCH_DEPS, TEST_LIBS  further libraries of benches and fuzz targets, and of tests.
set(HF_WARNINGS -Wall -Wextra -Wshadow -Wno-unused-parameter
    # Every field of our structs has a default.
    -Wno-missing-designated-field-initializers -Werror)
# From the host's config.gypi: what changes the layout of V8's types must match. The pinned build sets none of
# V8_COMPRESS_POINTERS, V8_ENABLE_SANDBOX, V8_31BIT_SMIS_ON_64BIT_ARCH; cmake/CheckHost.cmake fails if that changes.
# The cast warning is in node.h's own NODE_MODULE_INIT.
set(HF_V8_OPTIONS -fno-rtti -Wno-cast-function-type-mismatch)
set(HF_V8_DEFINITIONS NODE_GYP_MODULE_NAME=holdfast USING_UV_SHARED=1 USING_V8_SHARED=1)

function(hf_addon_link TARGET)
  set_target_properties(${TARGET} PROPERTIES PREFIX "" SUFFIX ".node")
  # Our copies of libraries that the host also has must never be mixed up with the host's.
  target_link_options(${TARGET} PRIVATE -Wl,--exclude-libs,ALL -Wl,-Bsymbolic -Wl,-z,now -Wl,--gc-sections)
  # Symbols of the host are missing at link time; everything else that is missing is a mistake.
  add_custom_command(
    TARGET ${TARGET}
    POST_BUILD
    COMMAND ${HF_PYTHON} ${CMAKE_SOURCE_DIR}/tools/check-undefined $<TARGET_FILE:${TARGET}> ${HF_NODE_DIR}/bin/node
            ${HF_PRELOADED}
    VERBATIM)
endfunction()

function(room NAME)
  cmake_parse_arguments(R "V8" "FLOOR" "DEPS;LIBS;PURE;BENCH_DEPS;TEST_LIBS" ${ARGN})
  file(GLOB srcs CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*/*.cc)
  set(tests ${srcs})
  set(benches ${srcs})
  set(fuzzes ${srcs})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(FILTER fuzzes INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER srcs EXCLUDE REGEX "_(test|bench|fuzz|main)\\.cc$")
  set_property(GLOBAL PROPERTY HF_FLOOR_${NAME} ${R_FLOOR})

  # The include path: links to this room and to the rooms it names.
  set(inc ${CMAKE_BINARY_DIR}/rooms/${NAME})
  file(GLOB stale ${inc}/*)
  foreach(d ${NAME} ${R_DEPS})
    list(REMOVE_ITEM stale ${inc}/${d})
    file(MAKE_DIRECTORY ${inc})
    if(NOT EXISTS ${inc}/${d})
      file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/${d} ${inc}/${d} SYMBOLIC)
    endif()
  endforeach()
  if(stale)
    file(REMOVE ${stale})
  endif()
  set(deps "")
  set(pure_deps "")
  foreach(d ${R_DEPS})
    get_property(floor GLOBAL PROPERTY HF_FLOOR_${d})
    if(NOT floor LESS R_FLOOR)
      message(FATAL_ERROR "${NAME} (floor ${R_FLOOR}) may not use ${d} (floor ${floor})")
    endif()
    # Of a V8 room, what is pure may be used by what is pure, and all of it by the rest.
    if(TARGET hf_${d}_pure)
      list(APPEND pure_deps hf_${d}_pure)
    elseif(TARGET hf_${d})
      get_target_property(v8 hf_${d} HF_ROOM_V8)
      if(NOT v8)
        list(APPEND pure_deps hf_${d})
      endif()
    endif()
    if(TARGET hf_${d})
      list(APPEND deps hf_${d})
    endif()
  endforeach()
  set(base_libs Threads::Threads nlohmann_json::nlohmann_json)

  if(R_V8)
    set(pure_srcs "")
    set(pure_tests "")
    foreach(p ${R_PURE})
      list(APPEND pure_srcs ${CMAKE_CURRENT_SOURCE_DIR}/${p})
      string(REGEX REPLACE "\\.cc$" "_test.cc" t ${CMAKE_CURRENT_SOURCE_DIR}/${p})
      if(t IN_LIST tests)
        list(APPEND pure_tests ${t})
      endif()
    endforeach()
    if(pure_srcs)
      list(REMOVE_ITEM srcs ${pure_srcs})
      list(REMOVE_ITEM tests ${pure_tests})
      hf_room_library(hf_${NAME}_pure ${inc} "${pure_srcs}" "${pure_deps};${base_libs};${R_LIBS}")
      hf_room_test(${NAME}_pure ${inc} hf_${NAME}_pure "${pure_tests}" "${R_TEST_LIBS}")
      hf_room_fuzz(${NAME} ${inc} hf_${NAME}_pure "${fuzzes}" "${R_BENCH_DEPS}")
      list(PREPEND deps hf_${NAME}_pure)
    endif()
    if(NOT HF_V8)
      return()
    endif()
    hf_room_library(hf_${NAME} ${inc} "${srcs}" "${deps};${base_libs};${R_LIBS}")
    hf_v8_target(hf_${NAME})
    set_target_properties(hf_${NAME} PROPERTIES HF_ROOM_V8 ON)
    if(tests)
      add_library(${NAME}_test MODULE EXCLUDE_FROM_ALL ${tests} ${CMAKE_SOURCE_DIR}/cmake/gtest_host.cc)
      add_dependencies(unit_tests ${NAME}_test)
      target_include_directories(${NAME}_test PRIVATE ${inc})
      hf_v8_target(${NAME}_test)
      hf_addon_link(${NAME}_test)
      target_link_libraries(
        ${NAME}_test PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,hf_${NAME}>" hf_runtime_js GTest::gtest GTest::gmock rapidcheck
                             ${R_TEST_LIBS})
      add_test(NAME ${NAME} COMMAND ${HF_NODE_DIR}/bin/node ${CMAKE_SOURCE_DIR}/cmake/gtest_host.cjs
                                    $<TARGET_FILE:${NAME}_test>)
      set_tests_properties(${NAME} PROPERTIES LABELS fast TIMEOUT 300)
    endif()
    return()
  endif()

  # Of a V8 room it may use what is pure.
  hf_room_library(hf_${NAME} ${inc} "${srcs}" "${pure_deps};${base_libs};${R_LIBS}")
  hf_room_test(${NAME} ${inc} hf_${NAME} "${tests}" "${R_TEST_LIBS}")
  if(benches AND NOT HF_SANITIZE)
    find_package(benchmark REQUIRED)
    add_executable(${NAME}_bench EXCLUDE_FROM_ALL ${benches})
    add_dependencies(benches ${NAME}_bench)
    target_include_directories(${NAME}_bench PRIVATE ${inc})
    target_link_libraries(${NAME}_bench PRIVATE hf_${NAME} benchmark::benchmark_main OpenSSL::Crypto OpenSSL::SSL ZLIB::ZLIB
                                                ${R_BENCH_DEPS})
  endif()
  hf_room_fuzz(${NAME} ${inc} hf_${NAME} "${fuzzes}" "${R_BENCH_DEPS}")
endfunction()

function(hf_room_library TARGET INC SRCS LIBS)
  if(NOT SRCS)
    set(SRCS ${CMAKE_SOURCE_DIR}/cmake/empty.cc) # a room of headers only, for now
  endif()
  add_library(${TARGET} STATIC ${SRCS})
  target_include_directories(${TARGET} PRIVATE ${INC})
  target_compile_options(${TARGET} PRIVATE ${HF_WARNINGS})
  target_link_libraries(${TARGET} PUBLIC ${LIBS})
endfunction()

function(hf_v8_target TARGET)
  target_include_directories(${TARGET} SYSTEM PRIVATE ${HF_NODE_DIR}/include/node ${CMAKE_SOURCE_DIR}/cmake/embed)
  target_compile_definitions(${TARGET} PRIVATE ${HF_V8_DEFINITIONS})
  target_compile_options(${TARGET} PRIVATE ${HF_WARNINGS} ${HF_V8_OPTIONS})
endfunction()

# Of a V8 room: what is pure in it, which links no V8.
function(hf_room_fuzz NAME INC LIBRARY FUZZES LIBS)
  if(NOT HF_FUZZ)
    return()
  endif()
  foreach(f ${FUZZES})
    get_filename_component(stem ${f} NAME_WE)
    set(target ${NAME}_${stem})
    add_executable(${target} EXCLUDE_FROM_ALL ${f})
    add_dependencies(fuzzers ${target})
    target_include_directories(${target} PRIVATE ${INC})
    target_compile_options(${target} PRIVATE ${HF_WARNINGS})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${target} PRIVATE ${LIBRARY} OpenSSL::Crypto OpenSSL::SSL ZLIB::ZLIB ${LIBS})
    add_test(NAME ${target} COMMAND ${CMAKE_SOURCE_DIR}/tools/fuzz $<TARGET_FILE:${target}>
                                    ${CMAKE_SOURCE_DIR}/test/fuzz/${target})
    set_tests_properties(${target} PROPERTIES LABELS fuzz TIMEOUT 120)
  endforeach()
endfunction()

# The whole library is linked, so that a symbol of a room that is not among DEPS is found missing.
function(hf_room_test NAME INC LIBRARY TESTS LIBS)
  if(NOT TESTS)
    return()
  endif()
  add_executable(${NAME}_test EXCLUDE_FROM_ALL ${TESTS})
  add_dependencies(unit_tests ${NAME}_test)
  target_include_directories(${NAME}_test PRIVATE ${INC})
  target_compile_options(${NAME}_test PRIVATE ${HF_WARNINGS})
  target_link_libraries(
    ${NAME}_test PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,${LIBRARY}>" GTest::gtest_main GTest::gmock rapidcheck
                         OpenSSL::Crypto OpenSSL::SSL ZLIB::ZLIB ${LIBS})
  add_test(NAME ${NAME} COMMAND ${NAME}_test)
  set_tests_properties(${NAME} PROPERTIES LABELS fast TIMEOUT 300)
endfunction()
