# The page at /: its files become one source of the binary, so that nothing has to be installed beside it.
set(page_names index.html icon.svg base.css chat.css live.css theme.js app.js api.js chat.js answer.js tokens.js
    inspector.js settings.js key_dialog.js live.js tiles.js metrics.js)
list(TRANSFORM page_names PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/page/ OUTPUT_VARIABLE page_paths)
list(JOIN page_names "," page_names)
add_custom_command(
  OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/page_files.cc
  COMMAND ${CMAKE_COMMAND} -DDIRECTORY=${CMAKE_CURRENT_SOURCE_DIR}/page -DNAMES=${page_names}
          -DOUTPUT=${CMAKE_CURRENT_BINARY_DIR}/page_files.cc -P ${CMAKE_SOURCE_DIR}/cmake/EmbedPage.cmake
  DEPENDS ${page_paths} ${CMAKE_SOURCE_DIR}/cmake/EmbedPage.cmake
  VERBATIM)
runahead_library(
  NAME page
  SRCS page_routes.cc ${CMAKE_CURRENT_BINARY_DIR}/page_files.cc
  DEPS runahead_http_message
  TESTS page_routes_test.cc)
