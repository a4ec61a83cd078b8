runahead_library(
  NAME text
  SRCS chat_template.cc detokenizer.cc stop_matcher.cc utf8.cc
       jinja/access.cc jinja/arithmetic.cc jinja/builtins.cc jinja/characters.cc
       jinja/container_methods.cc jinja/evaluate.cc jinja/expression_parser.cc jinja/format.cc
       jinja/from_json.cc jinja/globals.cc jinja/interpreter.cc jinja/json_format.cc jinja/lexer.cc
       jinja/number_filters.cc jinja/operations.cc jinja/output_filters.cc jinja/parser.cc
       jinja/percent_format.cc jinja/postfix_parser.cc jinja/runtime.cc jinja/selection_filters.cc
       jinja/sequence_filters.cc jinja/string_methods.cc jinja/string_predicates.cc jinja/tests.cc
       jinja/text_filters.cc jinja/text_ops.cc jinja/unicode_tables.cc jinja/value.cc
  DEPS runahead_core nlohmann_json::nlohmann_json
  TESTS chat_template_load_test.cc chat_template_test.cc detokenizer_test.cc
        detokenizer_tokenizers_test.cc stop_matcher_test.cc
        utf8_test.cc jinja/characters_test.cc jinja/format_test.cc jinja/lexer_test.cc
        jinja/limits_test.cc jinja/parser_test.cc
  TEST_DEPS runahead_tokenizer)
