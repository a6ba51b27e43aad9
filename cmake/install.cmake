# install(), find_package(tessera) and the Debian packages. Two components: `runtime` is what runs
# the simulator (Debian: tessera), `development` what programs of one's own need to use it as a
# library (Debian: libtessera-dev).
include(CMakePackageConfigHelpers)

set(tessera_libraries base datapath config trace frontend chip report precision engine
    validation regression sweep)
list(TRANSFORM tessera_libraries PREPEND tessera_ OUTPUT_VARIABLE tessera_targets)

install(TARGETS tessera RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
install(DIRECTORY configs models DESTINATION ${CMAKE_INSTALL_DATADIR}/tessera COMPONENT runtime)
install(DIRECTORY traces DESTINATION ${CMAKE_INSTALL_DATADIR}/tessera COMPONENT runtime
        FILES_MATCHING PATTERN "*.md" PATTERN "*.trace" PATTERN "baseline.json")
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime RENAME copyright)

# Headers keep their place below sim/: they are included as "sim/<folder>/<file>.h".
set(tessera_include ${CMAKE_INSTALL_INCLUDEDIR}/tessera)
foreach(library IN LISTS tessera_libraries)
  file(GLOB headers CONFIGURE_DEPENDS sim/${library}/*.h)
  install(FILES ${headers} DESTINATION ${tessera_include}/sim/${library} COMPONENT development)
endforeach()
install(TARGETS ${tessera_targets} EXPORT tessera
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
set(tessera_package ${CMAKE_INSTALL_LIBDIR}/cmake/tessera)
install(EXPORT tessera FILE tessera-targets.cmake NAMESPACE tessera::
        DESTINATION ${tessera_package} COMPONENT development)
configure_package_config_file(cmake/tessera-config.cmake.in tessera-config.cmake
                              INSTALL_DESTINATION ${tessera_package}
                              PATH_VARS CMAKE_INSTALL_DATADIR)
# Before 1.0 a minor version may change an interface.
write_basic_package_version_file(tessera-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tessera-config.cmake
              ${PROJECT_BINARY_DIR}/tessera-config-version.cmake
        DESTINATION ${tessera_package} COMPONENT development)

# Packages: cpack -G DEB (or TGZ) in a build directory.
set(CPACK_PACKAGE_NAME tessera)
set(CPACK_PACKAGE_VENDOR "the tessera authors")
set(CPACK_PACKAGE_CONTACT "the tessera authors <maintainers@tessera.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME tessera)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
"Predicts how long the layers of a Transformer take on an accelerator and why:
cycles, bandwidth, the bound of each operation and where every core-cycle went.
Chips and models are data; a model may be a Hugging Face config.json.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libtessera-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# What the installed headers include and the static libraries link.
file(STRINGS cmake/debian-packages.txt development_depends REGEX "-dev$")
list(REMOVE_ITEM development_depends libcli11-dev)  # the command line's alone
list(JOIN development_depends ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
"Headers, static libraries and CMake package of the tessera simulator, to use its
frontend, modules and engine from programs of one's own.")
include(CPack)
