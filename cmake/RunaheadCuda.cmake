# The CUDA language, where RUNAHEAD_CUDA is ON (the preset `cuda`): nvcc of a toolkit of 12.4 or later.
if(NOT RUNAHEAD_CUDA STREQUAL "ON")
  return()
endif()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  # Toolkits put nvcc into no standard place.
  find_program(RUNAHEAD_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(RUNAHEAD_NVCC)
    set(CMAKE_CUDA_COMPILER ${RUNAHEAD_NVCC})
  endif()
endif()
enable_language(CUDA)
find_package(CUDAToolkit 12.4 REQUIRED)                           # kernels/cuda
