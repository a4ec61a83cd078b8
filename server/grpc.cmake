runahead_library(
  NAME grpc_server
  SRCS grpc_convert.cc grpc_server.cc grpc_stream.cc
  DEPS runahead_server runahead_http
  PRIVATE_DEPS runahead_proto gRPC::grpc++_reflection
  TESTS grpc_convert_test.cc
  TEST_DEPS runahead_proto runahead_text runahead_tokenizer)
