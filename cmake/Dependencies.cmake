# Finds the libraries that Tutti is built on. A missing one is named with its Debian package.
set(TUTTI_DEPENDENCIES)

function(tutti_require name header library package)
  find_path(${name}_INCLUDE_DIR ${header})
  find_library(${name}_LIBRARY ${library})
  if(NOT ${name}_INCLUDE_DIR OR NOT ${name}_LIBRARY)
    set(TUTTI_MISSING "${TUTTI_MISSING}\n  ${name} (${header}, lib${library}): apt-get install ${package}"
        PARENT_SCOPE)
    return()
  endif()
  if(NOT TARGET Tutti_${name})
    add_library(Tutti_${name} UNKNOWN IMPORTED)
    set_target_properties(Tutti_${name} PROPERTIES IMPORTED_LOCATION "${${name}_LIBRARY}"
                                                   INTERFACE_INCLUDE_DIRECTORIES
                                                   "${${name}_INCLUDE_DIR}")
  endif()
  set(TUTTI_DEPENDENCIES ${TUTTI_DEPENDENCIES} $<BUILD_INTERFACE:Tutti_${name}> PARENT_SCOPE)
  set(TUTTI_LINK_NAMES ${TUTTI_LINK_NAMES} -l${library} PARENT_SCOPE)
endfunction()

set(TUTTI_MISSING "")
set(TUTTI_LINK_NAMES "")
tutti_require(OpenCL CL/cl_icd.h OpenCL ocl-icd-opencl-dev)
tutti_require(CLBlast clblast_c.h clblast libclblast-dev)
tutti_require(cJSON cjson/cJSON.h cjson libcjson-dev)
tutti_require(zlib zlib.h z zlib1g-dev)
tutti_require(libsodium sodium.h sodium libsodium-dev)
if(TUTTI_TESTS)
  find_path(CMOCKA_INCLUDE_DIR cmocka.h)
  find_library(CMOCKA_LIBRARY cmocka)
  if(NOT CMOCKA_INCLUDE_DIR OR NOT CMOCKA_LIBRARY)
    set(TUTTI_MISSING
        "${TUTTI_MISSING}\n  cmocka (cmocka.h, libcmocka): apt-get install libcmocka-dev, or -DTUTTI_TESTS=OFF")
  endif()
endif()
if(TUTTI_MISSING)
  message(FATAL_ERROR "Missing libraries:${TUTTI_MISSING}")
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
list(APPEND TUTTI_DEPENDENCIES Threads::Threads m ${CMAKE_DL_LIBS})
list(APPEND TUTTI_LINK_NAMES -pthread -lm)
