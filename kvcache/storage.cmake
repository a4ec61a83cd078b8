# Device storage apart from the accounting, so that scheduler/ links no kernel.
add_library(runahead_kvcache_storage STATIC kv_cache.cc)
target_link_libraries(runahead_kvcache_storage PUBLIC runahead_options runahead_core runahead_kernels)
runahead_test(NAME kvcache_storage_tests SRCS kv_cache_test.cc
              DEPS runahead_kvcache_storage runahead_kernel_registry)
