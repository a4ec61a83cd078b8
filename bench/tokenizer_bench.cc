// Encoding and decoding speed on the demo model's tokenizer and, where RUNAHEAD_TEST_DATA is set,
// on published ones. Bytes per second are of text. A 1 MiB prompt, whatever is in it, must take
// less than a second.
#include <cstdlib>
#include <string>

#include "benchmark/benchmark.h"
#include "text/tokenizer.h"

namespace runahead {
namespace {

// English prose, code and a little CJK, repeated to `num_bytes`.
std::string MixedText(size_t num_bytes) {
  constexpr std::string_view kParagraph =
      "The harbour was quiet when the two boats came in, and nobody asked what they carried. "
      "for (int i = 0; i < 128; ++i) { total += values[i] * weight; }\n"
      "It cost 1,299.50 in 2019; we'd pay more today, wouldn't we? "
      "\xE6\x88\x91\xE4\xBB\xAC\xE8\xB5\xB0\n\n";
  std::string text;
  while (text.size() < num_bytes) text.append(kParagraph);
  text.resize(num_bytes, ' ');
  return text;
}

std::string DirectoryOf(const std::string& name) {
  if (name == "demo") return "models/demo/target";
  const char* data = std::getenv("RUNAHEAD_TEST_DATA");
  return data == nullptr ? "" : std::string(data) + "/tokenizers/" + name;
}

void Encode(benchmark::State& state, const std::string& name, const std::string& text) {
  const auto tokenizer = LoadTokenizer(DirectoryOf(name));
  if (!tokenizer.ok()) {
    state.SkipWithError(tokenizer.status().message().c_str());
    return;
  }
  size_t num_tokens = 0;
  for (auto _ : state) {
    num_tokens = (*tokenizer)->Encode(text, {}).size();
    benchmark::DoNotOptimize(num_tokens);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["tokens"] = static_cast<double>(num_tokens);
}

void Decode(benchmark::State& state, const std::string& name) {
  const auto tokenizer = LoadTokenizer(DirectoryOf(name));
  if (!tokenizer.ok()) {
    state.SkipWithError(tokenizer.status().message().c_str());
    return;
  }
  const std::string text = MixedText(64 << 10);
  const std::vector<int32_t> ids = (*tokenizer)->Encode(text, {});
  for (auto _ : state) benchmark::DoNotOptimize((*tokenizer)->Decode(ids, true));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}

void Load(benchmark::State& state, const std::string& name) {
  for (auto _ : state) {
    const auto tokenizer = LoadTokenizer(DirectoryOf(name));
    if (!tokenizer.ok()) {
      state.SkipWithError(tokenizer.status().message().c_str());
      return;
    }
  }
}

void RegisterAll() {
  for (const std::string name : {"demo", "gpt2", "llama2"}) {
    const auto add = [&name](const std::string& what, auto... args) {
      benchmark::RegisterBenchmark((what + "/" + name).c_str(), args...)
          ->Unit(benchmark::kMillisecond);
    };
    add("Load", Load, name);
    add("EncodeMixed1KiB", Encode, name, MixedText(1 << 10));
    add("EncodeMixed1MiB", Encode, name, MixedText(1 << 20));
    add("EncodeOneByte1MiB", Encode, name, std::string(1 << 20, 'a'));
    add("EncodeSpaces1MiB", Encode, name, std::string(1 << 20, ' '));
    add("EncodeNewlines1MiB", Encode, name, std::string(1 << 20, '\n'));
    add("EncodeInvalid1MiB", Encode, name, std::string(1 << 20, '\xFF'));
    add("Decode64KiB", Decode, name);
  }
}

}  // namespace
}  // namespace runahead

int main(int argc, char** argv) {
  runahead::RegisterAll();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
