# Turns cl/*.cl and cl/*.clh into one C file of byte arrays, made again when a kernel changes.
function(tutti_embed_kernels)
  cmake_parse_arguments(ARG "" "OUTPUT;DIRECTORY" "" ${ARGN})
  file(GLOB kernels CONFIGURE_DEPENDS "${ARG_DIRECTORY}/*.cl" "${ARG_DIRECTORY}/*.clh")
  add_custom_command(
    OUTPUT "${ARG_OUTPUT}"
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${ARG_OUTPUT} "-DKERNELS=${kernels}" -P
            "${PROJECT_SOURCE_DIR}/cmake/EmbedKernelsScript.cmake"
    DEPENDS ${kernels} "${PROJECT_SOURCE_DIR}/cmake/EmbedKernelsScript.cmake"
    COMMENT "Embedding kernels"
    VERBATIM)
endfunction()
