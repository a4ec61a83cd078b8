#include "model/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

struct ElementSize {
  std::string_view name;
  int bytes;
};
constexpr std::array kElementSizes = std::to_array<ElementSize>({
    {"BOOL", 1},
    {"U8", 1},
    {"I8", 1},
    {"F8_E5M2", 1},
    {"F8_E4M3", 1},
    {"U16", 2},
    {"I16", 2},
    {"F16", 2},
    {"BF16", 2},
    {"U32", 4},
    {"I32", 4},
    {"F32", 4},
    {"U64", 8},
    {"I64", 8},
    {"F64", 8},
});

// Longest name and most dimensions an entry may have; both far above any real checkpoint.
constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxDimensions = 8;

// Event handler of the JSON parser: a header is at most three levels deep, so nothing is built that
// a hostile file could make large, and a name that comes twice is seen (a parsed object would keep
// one silently).
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<TensorEntry> TakeEntries() { return std::move(entries_); }
  const std::string& error() const { return error_; }
  bool complete() const { return complete_; }

  bool null() override { return Fail("null where none may be"); }
  bool boolean(bool) override { return Fail("a boolean where none may be"); }
  bool number_float(double, const std::string&) override {
    return Fail("a number that is no size");
  }
  bool binary(nlohmann::json::binary_t&) override { return Fail("binary data"); }
  bool number_integer(int64_t) override { return Fail("a negative size or offset"); }

  bool number_unsigned(uint64_t value) override {
    if (depth_ != 3) return Fail("a number where none may be");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Fail("a size or offset too large");
    }
    auto& list = field_ == "shape" ? current_.shape : offsets_;
    if (list.size() == kMaxDimensions) return Fail("more than 8 values in " + field_);
    list.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(std::string& text) override {
    if (in_metadata_ && depth_ == 2) return true;
    if (depth_ != 2 || field_ != "dtype") return Fail("text where none may be");
    current_.dtype = text;
    return true;
  }

  bool start_object(size_t) override {
    if (depth_ > 1) return Fail("an object inside a tensor's entry");
    ++depth_;
    return true;
  }

  bool key(std::string& text) override {
    if (depth_ == 1) return StartEntry(text);
    if (in_metadata_) return true;
    if (text != "dtype" && text != "shape" && text != "data_offsets") {
      return Fail("the unknown key \"" + text.substr(0, 100) + "\"");
    }
    if (!fields_.insert(text).second) return Fail("the key " + text + " twice");
    field_ = text;
    return true;
  }

  bool end_object() override {
    --depth_;
    if (depth_ == 0) complete_ = true;
    return depth_ == 0 || in_metadata_ || FinishEntry();
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || field_ == "dtype") return Fail("a list where none may be");
    ++depth_;
    return true;
  }

  bool end_array() override {
    --depth_;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    error_ = "the header is not valid JSON (at byte " + std::to_string(position) + ")";
    return false;
  }

 private:
  bool Fail(const std::string& what) {
    error_ = "the header holds " + what;
    if (!current_.name.empty()) error_ += ", in the entry of " + current_.name;
    return false;
  }

  bool StartEntry(const std::string& name) {
    current_ = {};
    if (name.size() > kMaxNameBytes) return Fail("a tensor name longer than 4096 bytes");
    if (!names_.insert(name).second) return Fail("the tensor " + name + " twice");
    in_metadata_ = name == "__metadata__";
    current_.name = name;
    fields_.clear();
    offsets_.clear();
    return true;
  }

  bool FinishEntry() {
    if (fields_.size() != 3) return Fail("an entry without dtype, shape or data_offsets");
    if (offsets_.size() != 2) return Fail("data_offsets that are not two numbers");
    current_.begin = offsets_[0];
    current_.end = offsets_[1];
    entries_.push_back(std::move(current_));
    current_ = {};
    return true;
  }

  std::vector<TensorEntry> entries_;
  std::string error_;
  int depth_ = 0;  // 1: the header, 2: an entry, 3: a list of it
  bool complete_ = false;
  bool in_metadata_ = false;
  TensorEntry current_;
  std::string field_;
  std::vector<int64_t> offsets_;
  std::set<std::string> fields_;
  std::set<std::string> names_;
};

Status CheckSize(const TensorEntry& entry) {
  const auto* size = std::find_if(kElementSizes.begin(), kElementSizes.end(),
                                  [&](const ElementSize& e) { return e.name == entry.dtype; });
  if (size == kElementSizes.end()) {
    return InvalidArgument("tensor " + entry.name + " has the unknown element type \"" +
                           entry.dtype.substr(0, 100) + "\"");
  }
  if (entry.begin > entry.end) {
    return InvalidArgument("tensor " + entry.name + " ends before it begins");
  }
  int64_t bytes = size->bytes;
  for (const int64_t d : entry.shape) {
    if (__builtin_mul_overflow(bytes, d, &bytes)) {
      return InvalidArgument("tensor " + entry.name + " of shape " + ShapeName(entry.shape) +
                             " is larger than any file");
    }
  }
  if (bytes != entry.num_bytes()) {
    return InvalidArgument("tensor " + entry.name + " of type " + entry.dtype + " and shape " +
                           ShapeName(entry.shape) + " needs " + std::to_string(bytes) +
                           " bytes, its data_offsets give " + std::to_string(entry.num_bytes()));
  }
  return {};
}

// Entries in file order must follow one another from 0 to the end of the data.
Status CheckTiling(const std::vector<TensorEntry>& entries, int64_t data_bytes) {
  int64_t end = 0;
  const TensorEntry* previous = nullptr;
  for (const TensorEntry& entry : entries) {
    if (entry.end > data_bytes) {
      return InvalidArgument("truncated: tensor " + entry.name + " ends at byte " +
                             std::to_string(entry.end) + " of the data, which has " +
                             std::to_string(data_bytes));
    }
    if (entry.begin < end) {
      return InvalidArgument("tensors " + previous->name + " and " + entry.name + " overlap");
    }
    if (entry.begin > end) {
      return InvalidArgument("no tensor covers the bytes before " + entry.name);
    }
    end = entry.end;
    previous = &entry;
  }
  if (end != data_bytes) {
    return InvalidArgument(std::to_string(data_bytes - end) + " bytes follow the last tensor");
  }
  return {};
}

}  // namespace

std::string ShapeName(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t d : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(d);
  return text + "]";
}

Result<std::vector<TensorEntry>> ParseSafetensorsHeader(std::string_view header,
                                                        int64_t data_bytes) {
  HeaderHandler handler;
  const bool parsed = nlohmann::json::sax_parse(header, &handler);
  if (!parsed || !handler.complete()) {
    return InvalidArgument(handler.error().empty() ? "the header is not a JSON object"
                                                   : handler.error());
  }
  std::vector<TensorEntry> entries = handler.TakeEntries();
  for (const TensorEntry& entry : entries) RA_RETURN_IF_ERROR(CheckSize(entry));
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  RA_RETURN_IF_ERROR(CheckTiling(entries, data_bytes));
  return entries;
}

}  // namespace runahead
