include(CMakePackageConfigHelpers)

install(DIRECTORY include/tutti DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS tutti_shared tutti_static EXPORT TuttiTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY samples/profiles DESTINATION ${CMAKE_INSTALL_DATADIR}/tutti)
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

string(REPLACE ";" " " TUTTI_PRIVATE_LIBS "${TUTTI_LINK_NAMES}")
# Relative to the file itself, so that an installation can be moved.
file(RELATIVE_PATH TUTTI_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/tutti.pc.in "${PROJECT_BINARY_DIR}/generated/tutti.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/generated/tutti.pc"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
