# Helpers every folder uses: fairlead_library, fairlead_executable, fairlead_static_executable, fairlead_test.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(NL REQUIRED IMPORTED_TARGET libnl-3.0 libnl-genl-3.0)
# Message builders only; by file, because the CNI plugins are static and the daemons may as well be the same.
find_library(NL_ARCHIVE libnl-3.a REQUIRED)
add_library(fairlead_nl INTERFACE)
target_include_directories(fairlead_nl SYSTEM INTERFACE ${NL_INCLUDE_DIRS})
target_link_libraries(fairlead_nl INTERFACE ${NL_ARCHIVE})
pkg_check_modules(NFTABLES REQUIRED IMPORTED_TARGET libnftables)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares)
find_package(nlohmann_json REQUIRED)
find_package(tl-expected REQUIRED)
if(BUILD_TESTING)
  find_package(GTest REQUIRED)
  add_custom_target(unit_tests)
  add_custom_target(thread_tests)
endif()

option(FAIRLEAD_ASAN "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(FAIRLEAD_TSAN "ThreadSanitizer" OFF)
option(FAIRLEAD_FUZZ "libFuzzer targets (clang only)" OFF)

add_library(fairlead_flags INTERFACE)
target_compile_options(fairlead_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers -Wshadow -Wnon-virtual-dtor
  -Wimplicit-fallthrough -fstack-protector-strong -ffunction-sections -fdata-sections)
# False alarms of g++ 12 when it optimises: array bounds in nlohmann's initialiser lists (GCC bug 105562 and its kin),
# uninitialised values in std::optional (GCC bug 80635). clang and the sanitisers look for both.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(fairlead_flags INTERFACE -Wno-array-bounds -Wno-maybe-uninitialized)
endif()
# JSON_DIAGNOSTICS puts the JSON pointer into every message; it changes the inline namespace,
# so it is defined for the whole build.
target_compile_definitions(fairlead_flags INTERFACE JSON_DIAGNOSTICS=1 _FORTIFY_SOURCE=$<IF:$<CONFIG:Debug>,0,2>
  FAIRLEAD_VERSION="${PROJECT_VERSION}")
target_include_directories(fairlead_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_link_options(fairlead_flags INTERFACE -Wl,--gc-sections)
target_link_libraries(fairlead_flags INTERFACE tl::expected Threads::Threads)
if(FAIRLEAD_ASAN)
  target_compile_options(fairlead_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(fairlead_flags INTERFACE -fsanitize=address,undefined)
elseif(FAIRLEAD_TSAN)
  target_compile_options(fairlead_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(fairlead_flags INTERFACE -fsanitize=thread)
endif()

# The sanitised builds are made from nothing in every run of the checks, and reading these headers is most of the work there. The
# optimised build does without, so that every file is seen to include what it uses.
set(CMAKE_PCH_INSTANTIATE_TEMPLATES ON)
if(FAIRLEAD_ASAN OR FAIRLEAD_TSAN)
  set(CMAKE_CXX_FLAGS_DEBUG "-g1")   # reports need lines, not variables
  # One kind of code in libraries and programs, for one set of headers; without its time, which a compiler cache cannot know.
  target_compile_options(fairlead_flags INTERFACE -fPIC $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
  if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/headers.cc "")
  add_library(fairlead_headers OBJECT ${CMAKE_BINARY_DIR}/headers.cc)
  target_link_libraries(fairlead_headers PRIVATE fairlead_flags nlohmann_json::nlohmann_json)
  target_precompile_headers(fairlead_headers PRIVATE <algorithm> <chrono> <functional> <map> <memory> <mutex> <optional> <set> <string> <thread>
    <vector> <nlohmann/json.hpp> <tl/expected.hpp>)
endif()
function(fairlead_precompiled name)
  if(TARGET fairlead_headers)
    target_precompile_headers(${name} REUSE_FROM fairlead_headers)
  endif()
endfunction()

# fairlead_library(NAME SOURCES... ) makes a static library fairlead_NAME.
function(fairlead_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(fairlead_${name} STATIC ${A_SOURCES})
  target_link_libraries(fairlead_${name} PUBLIC fairlead_flags ${A_LINK} PRIVATE ${A_PRIVATE_LINK})
  fairlead_precompiled(fairlead_${name})
endfunction()

function(fairlead_executable name)
  cmake_parse_arguments(A "" "DESTINATION" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE fairlead_flags ${A_LINK})
  fairlead_precompiled(${name})
  if(A_DESTINATION)
    install(TARGETS ${name} RUNTIME DESTINATION ${A_DESTINATION})
  endif()
endfunction()

# A program the runtime starts for every container: static-pie, because the dynamic loader is most of its time.
# The build fails when something sneaks in a shared library.
function(fairlead_static_executable name)
  fairlead_executable(${name} ${ARGN})
  if(NOT FAIRLEAD_ASAN AND NOT FAIRLEAD_TSAN)
    target_link_options(${name} PRIVATE -static-pie)
    add_custom_command(TARGET ${name} POST_BUILD
      COMMAND ${CMAKE_COMMAND} -DFILE=$<TARGET_FILE:${name}> -P ${PROJECT_SOURCE_DIR}/cmake/check_static.cmake VERBATIM)
  endif()
endfunction()

# fairlead_test(NAME [THREADS] SOURCES... LINK...): a unit test program that needs no root. Built by the target unit_tests,
# not by a plain build. THREADS: what it tests has threads, so it is run under ThreadSanitizer, too (target thread_tests).
function(fairlead_test name)
  if(NOT BUILD_TESTING)
    return()
  endif()
  cmake_parse_arguments(A "THREADS" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${A_SOURCES})
  target_link_libraries(${name} PRIVATE fairlead_flags ${A_LINK} GTest::gtest_main)
  fairlead_precompiled(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS unit)
  add_dependencies(unit_tests ${name})
  if(A_THREADS)
    set_tests_properties(${name} PROPERTIES LABELS "unit;threads")
    add_dependencies(thread_tests ${name})
  endif()
endfunction()

# fairlead_fuzzer(NAME SOURCES... LINK...): a libFuzzer target, built only with FAIRLEAD_FUZZ.
function(fairlead_fuzzer name)
  if(NOT FAIRLEAD_FUZZ)
    return()
  endif()
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE fairlead_flags ${A_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()
