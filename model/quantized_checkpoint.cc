#include "model/quantized_checkpoint.h"

#include <array>
#include <cstring>
#include <string_view>

#include "core/check.h"
#include "core/dtype.h"

namespace runahead {
namespace {

constexpr int kCodesAWord = 8;  // 4-bit codes in an i32

int64_t DivUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Groups of a row as stored.
int64_t StoredGroups(int64_t k, const StoredFormat& form) {
  return form.group > 0 ? DivUp(k, form.group) : 1;
}

std::string CodesName(const std::string& module, const StoredFormat& form) {
  return module + (form.is_packed ? ".weight_packed" : ".weight");
}

Status CheckTensor(const Checkpoint& checkpoint, const std::string& name, std::string_view dtype,
                   const std::vector<int64_t>& shape) {
  const TensorEntry* entry = checkpoint.Find(name);
  if (entry == nullptr) return InvalidArgument("the checkpoint has no tensor " + name);
  if (entry->dtype == dtype && entry->shape == shape) return {};
  return InvalidArgument("tensor " + name + " is " + entry->dtype + " " + ShapeName(entry->shape) +
                         ", quantization_config asks for " + std::string(dtype) + " " +
                         ShapeName(shape));
}

Status CheckScales(const Checkpoint& checkpoint, const std::string& name, int64_t n, int64_t groups,
                   bool is_whole) {
  const TensorEntry* entry = checkpoint.Find(name);
  if (entry == nullptr) return InvalidArgument("the checkpoint has no tensor " + name);
  if (entry->dtype != "F32" && entry->dtype != "F16" && entry->dtype != "BF16") {
    return InvalidArgument("tensor " + name + " has elements of type " + entry->dtype +
                           "; F32, F16 and BF16 are supported");
  }
  const std::vector<int64_t>& shape = entry->shape;
  if (is_whole) {
    if (shape.empty() || shape == std::vector<int64_t>{1} || shape == std::vector<int64_t>{1, 1}) {
      return {};
    }
    return InvalidArgument("tensor " + name + " has shape " + ShapeName(shape) +
                           ", strategy tensor asks for one element");
  }
  if (shape == std::vector<int64_t>{n, groups}) return {};
  if (groups == 1 && shape == std::vector<int64_t>{n}) return {};
  return InvalidArgument("tensor " + name + " has shape " + ShapeName(shape) +
                         ", quantization_config asks for " + ShapeName({n, groups}));
}

// Zero points are packed like codes but down the columns: word [r, g] holds rows 8 r .. 8 r + 7.
// Old writers stored them as i8.
bool HasPlainZeroPoints(const TensorEntry& entry) { return entry.dtype == "I8"; }

Status CheckZeroPoints(const Checkpoint& checkpoint, const std::string& module, int64_t n,
                       int64_t groups) {
  const std::string name = module + ".weight_zero_point";
  const TensorEntry* entry = checkpoint.Find(name);
  if (entry != nullptr && HasPlainZeroPoints(*entry)) {
    return CheckTensor(checkpoint, name, "I8", {n, groups});
  }
  return CheckTensor(checkpoint, name, "I32", {DivUp(n, kCodesAWord), groups});
}

// Old writers stored zero points of symmetric weights, too: all 0.
Status CheckNoZeroPoints(const Checkpoint& checkpoint, const std::string& module) {
  const std::string name = module + ".weight_zero_point";
  const TensorEntry* entry = checkpoint.Find(name);
  if (entry == nullptr) return {};
  const std::string_view bytes = checkpoint.Data(name);
  if (entry->dtype == "I8" && bytes.find_first_not_of('\0') == std::string_view::npos) return {};
  return InvalidArgument("tensor " + name + " holds zero points, quantization_config says there " +
                         "are none (symmetric)");
}

int64_t ElementOf(std::string_view bytes, std::string_view dtype, size_t i) {
  const auto read = [&](auto value) {
    std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
    return static_cast<int64_t>(value);
  };
  return dtype == "I64" ? read(int64_t{}) : read(int32_t{});
}

Status CheckStoredShape(const Checkpoint& checkpoint, const std::string& module, int64_t n,
                        int64_t k) {
  const std::string name = module + ".weight_shape";
  const TensorEntry* entry = checkpoint.Find(name);
  if (entry == nullptr) return {};  // it says what the configuration says
  const std::string_view bytes = checkpoint.Data(name);
  const int64_t rows = ElementOf(bytes, entry->dtype, 0);
  const int64_t columns = ElementOf(bytes, entry->dtype, 1);
  if (rows == n && columns == k) return {};
  return InvalidArgument("tensor " + name + " says " + ShapeName({rows, columns}) +
                         ", the configuration asks for " + ShapeName({n, k}));
}

TensorView BytesView(const void* data, DType dtype, int64_t rows, int64_t columns) {
  return {const_cast<void*>(data), dtype, {rows, columns}};  // nobody writes through it
}

void ReadCodes(std::string_view bytes, int64_t n, int64_t k, const StoredFormat& form,
               HostQuantized& out) {
  out.matrix.k = k;
  if (form.num_bits == 4) {  // little-endian words of 8 codes are bytes of 2, low one first
    out.matrix.codes = BytesView(bytes.data(), DType::kU8, n, DivUp(k, 2));
    out.matrix.codes.row_stride = 4 * DivUp(k, kCodesAWord);
    return;
  }
  if (!form.is_packed) {
    out.matrix.codes = BytesView(bytes.data(), DType::kI8, n, k);
    return;
  }
  const int64_t stride = 4 * DivUp(k, 4);
  out.codes.resize(static_cast<size_t>(n * k));
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t i = 0; i < k; ++i) {  // 0..255 stand for -128..127
      const auto code = static_cast<uint8_t>(bytes[static_cast<size_t>(row * stride + i)]);
      out.codes[static_cast<size_t>(row * k + i)] = code ^ 0x80u;
    }
  }
  out.matrix.codes = BytesView(out.codes.data(), DType::kI8, n, k);
}

// [n, groups] as the format has them, each stored group's value repeated for its parts.
template <typename Get>
std::vector<uint8_t> Spread(int64_t n, int64_t groups, size_t bytes_each, const Get& get) {
  std::vector<uint8_t> out(static_cast<size_t>(n * groups) * bytes_each);
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t group = 0; group < groups; ++group) {
      std::memcpy(out.data() + static_cast<size_t>(row * groups + group) * bytes_each,
                  get(row, group), bytes_each);
    }
  }
  return out;
}

// Which stored group the format's group belongs to.
struct GroupMap {
  GroupMap(int64_t k, const StoredFormat& form, const WeightFormat& format)
      : stored(StoredGroups(k, form)),
        groups(format.group > 0 ? DivUp(k, format.group) : 1),
        ratio(form.group > 0 && format.group > 0 ? form.group / format.group : groups),
        is_whole(form.group < 0) {}
  int64_t At(int64_t row, int64_t group) const {
    return is_whole ? 0 : row * stored + group / ratio;
  }
  int64_t stored, groups, ratio;
  bool is_whole;
};

void ReadScales(const Checkpoint& checkpoint, const std::string& name, int64_t n,
                const GroupMap& map, HostQuantized& out) {
  const std::string& type = checkpoint.Find(name)->dtype;
  const std::string_view bytes = checkpoint.Data(name);
  const DType dtype = type == "F32" ? DType::kF32 : type == "F16" ? DType::kF16 : DType::kBF16;
  const auto size = static_cast<size_t>(DTypeBytes(dtype));
  const void* data = bytes.data();
  const bool is_aligned = reinterpret_cast<uintptr_t>(data) % size == 0;
  if (map.is_whole || map.stored != map.groups || !is_aligned) {
    const std::vector<uint8_t> spread =
        Spread(n, map.groups, size, [&](int64_t row, int64_t group) {
          return bytes.data() + static_cast<size_t>(map.At(row, group)) * size;
        });
    out.scales.assign(spread.begin(), spread.end());
    data = out.scales.data();
  }
  out.matrix.scales = BytesView(data, dtype, n, map.groups);
}

Status ReadZeroPoints(const Checkpoint& checkpoint, const std::string& name, int64_t n,
                      const GroupMap& map, HostQuantized& out) {
  const std::string_view bytes = checkpoint.Data(name);
  const bool is_plain = HasPlainZeroPoints(*checkpoint.Find(name));
  bool is_valid = true;
  std::array<uint8_t, 1> zero = {};
  out.zero_points = Spread(n, map.groups, 1, [&](int64_t row, int64_t group) {
    if (is_plain) {
      const int value = static_cast<int8_t>(bytes[static_cast<size_t>(map.At(row, group))]) + 8;
      is_valid = is_valid && value >= 0 && value <= 15;
      zero[0] = static_cast<uint8_t>(value & 15);
    } else {
      const int64_t word = row / kCodesAWord * map.stored + group / map.ratio;
      const auto nibble = static_cast<int>(row % kCodesAWord);
      const auto byte = static_cast<uint8_t>(bytes[static_cast<size_t>(4 * word + nibble / 2)]);
      zero[0] = static_cast<uint8_t>(nibble % 2 == 0 ? byte & 15 : byte >> 4);
    }
    return zero.data();
  });
  if (!is_valid) return InvalidArgument("tensor " + name + " holds zero points beyond 4 bits");
  out.matrix.zero_points = BytesView(out.zero_points.data(), DType::kU8, n, map.groups);
  return {};
}

}  // namespace

std::vector<std::string> QuantizedTensorNames(const std::string& module, const StoredFormat& form) {
  return {CodesName(module, form), module + ".weight_scale", module + ".weight_zero_point",
          module + ".weight_shape"};
}

Status CheckQuantized(const Checkpoint& checkpoint, const std::string& module, int64_t n, int64_t k,
                      const StoredFormat& form) {
  const int64_t codes_a_word = 32 / form.num_bits;
  RA_RETURN_IF_ERROR(
      form.is_packed
          ? CheckTensor(checkpoint, CodesName(module, form), "I32", {n, DivUp(k, codes_a_word)})
          : CheckTensor(checkpoint, CodesName(module, form), "I8", {n, k}));
  const int64_t groups = StoredGroups(k, form);
  RA_RETURN_IF_ERROR(CheckScales(checkpoint, module + ".weight_scale", n, groups, form.group < 0));
  RA_RETURN_IF_ERROR(form.has_zero_points ? CheckZeroPoints(checkpoint, module, n, groups)
                                          : CheckNoZeroPoints(checkpoint, module));
  if (checkpoint.Find(module + ".weight_g_idx") != nullptr) {
    return InvalidArgument(module +
                           ".weight_g_idx: columns in activation order (actorder group) "
                           "are not supported");
  }
  const TensorEntry* shape = checkpoint.Find(module + ".weight_shape");
  if (shape == nullptr || shape->dtype == "I32") {
    return shape == nullptr ? Status() : CheckTensor(checkpoint, shape->name, "I32", {2});
  }
  return CheckTensor(checkpoint, shape->name, "I64", {2});
}

Result<HostQuantized> ReadQuantized(const Checkpoint& checkpoint, const std::string& module,
                                    int64_t n, int64_t k, const StoredFormat& form) {
  RA_RETURN_IF_ERROR(CheckStoredShape(checkpoint, module, n, k));
  HostQuantized out;
  out.format = form.weight_format();
  const GroupMap map(k, form, out.format);
  ReadCodes(checkpoint.Data(CodesName(module, form)), n, k, form, out);
  ReadScales(checkpoint, module + ".weight_scale", n, map, out);
  if (form.has_zero_points) {
    RA_RETURN_IF_ERROR(ReadZeroPoints(checkpoint, module + ".weight_zero_point", n, map, out));
  }
  return out;
}

}  // namespace runahead
