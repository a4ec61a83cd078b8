runahead_library(
  NAME tokenizer
  SRCS bpe.cc sentencepiece.cc sentencepiece_normalizer.cc sentencepiece_proto.cc tokenizer.cc
       tokenizer_added_tokens.cc tokenizer_byte_level.cc tokenizer_decoders.cc tokenizer_json.cc
       tokenizer_json_stages.cc tokenizer_normalizers.cc tokenizer_pieces.cc tokenizer_pipeline.cc
       tokenizer_pretokenizers.cc tokenizer_regex.cc unicode.cc
  DEPS runahead_core
  PRIVATE_DEPS nlohmann_json::nlohmann_json PkgConfig::PCRE2 ICU::uc ICU::i18n
  TESTS bpe_test.cc sentencepiece_normalizer_test.cc sentencepiece_proto_test.cc
        sentencepiece_test.cc tokenizer_added_tokens_test.cc tokenizer_byte_level_test.cc
        tokenizer_decoders_test.cc tokenizer_json_stages_test.cc tokenizer_json_test.cc
        tokenizer_normalizers_test.cc tokenizer_pieces_test.cc tokenizer_pipeline_test.cc
        tokenizer_pretokenizers_test.cc tokenizer_regex_test.cc tokenizer_test.cc unicode_test.cc
  TEST_DEPS nlohmann_json::nlohmann_json)
