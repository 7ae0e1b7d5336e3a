include(CMakePackageConfigHelpers)

install(DIRECTORY include/tutti DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS tutti_shared tutti_static EXPORT TuttiTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
# Installed, the schema lies beside the directory of the profiles.
file(GLOB profiles CONFIGURE_DEPENDS samples/profiles/*.json)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${profiles})
foreach(profile ${profiles})
  get_filename_component(name "${profile}" NAME)
  file(READ "${profile}" text)
  string(REPLACE "../../docs/profile.schema.json" "../profile.schema.json" text "${text}")
  file(WRITE "${PROJECT_BINARY_DIR}/generated/profiles/${name}" "${text}")
  install(FILES "${PROJECT_BINARY_DIR}/generated/profiles/${name}"
          DESTINATION ${CMAKE_INSTALL_DATADIR}/tutti/profiles)
endforeach()
install(FILES docs/profile.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/tutti OPTIONAL)
file(GLOB man_pages CONFIGURE_DEPENDS docs/man/*.1)
install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tutti)
install(EXPORT TuttiTargets NAMESPACE Tutti:: DESTINATION ${package_dir})
configure_package_config_file(cmake/TuttiConfig.cmake.in
                              "${PROJECT_BINARY_DIR}/generated/TuttiConfig.cmake"
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/generated/TuttiConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/generated/TuttiConfig.cmake"
              "${PROJECT_BINARY_DIR}/generated/TuttiConfigVersion.cmake" DESTINATION ${package_dir})

# Relative to the .pc file, so that `cmake --install --prefix` and moved trees work.
file(RELATIVE_PATH TUTTI_PC_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" TUTTI_PC_PREFIX "\${pcfiledir}/${TUTTI_PC_PREFIX}")
foreach(dir LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(TUTTI_PC_${dir} "${CMAKE_INSTALL_${dir}}")
    set(TUTTI_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  else()
    set(TUTTI_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
string(REPLACE ";" " " TUTTI_PRIVATE_LIBS "${TUTTI_LINK_NAMES}")
configure_file(cmake/tutti.pc.in "${PROJECT_BINARY_DIR}/generated/tutti.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/generated/tutti.pc"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
