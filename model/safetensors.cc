#include "model/safetensors.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "nlohmann/json.hpp"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace runahead {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

std::optional<DType> FloatDType(std::string_view name) {
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  return std::nullopt;
}

Status InFile(const std::string& path, const Status& status) {
  return {status.code(), path + ": " + status.message()};
}

}  // namespace

Result<SafetensorsLayout> ParseSafetensors(std::string_view file) {
  uint64_t header_bytes = 0;
  if (file.size() < sizeof(header_bytes)) {
    return InvalidArgument("not a safetensors file: " + std::to_string(file.size()) +
                           " bytes cannot hold the 8-byte header length");
  }
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  const auto rest = static_cast<uint64_t>(file.size() - sizeof(header_bytes));
  if (header_bytes > static_cast<uint64_t>(kMaxHeaderBytes)) {
    return InvalidArgument("not a safetensors file, or a corrupt one: its header claims " +
                           std::to_string(header_bytes) + " bytes, more than the allowed " +
                           std::to_string(kMaxHeaderBytes));
  }
  if (header_bytes > rest) {
    return InvalidArgument("truncated: the header claims " + std::to_string(header_bytes) +
                           " bytes, and " + std::to_string(rest) + " follow");
  }
  const std::string_view header = file.substr(sizeof(header_bytes), header_bytes);
  SafetensorsLayout layout;
  RA_ASSIGN_OR_RETURN(layout.entries,
                      ParseSafetensorsHeader(header, static_cast<int64_t>(rest - header_bytes)));
  layout.data_offset = static_cast<int64_t>(sizeof(header_bytes) + header_bytes);
  return layout;
}

Result<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Status(errno == ENOENT ? StatusCode::kNotFound : StatusCode::kInvalidArgument,
                  "cannot open " + path + ": " + std::strerror(errno));
  }
  struct stat info = {};
  void* data = nullptr;
  const bool is_file = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const size_t size = is_file ? static_cast<size_t>(info.st_size) : 0;
  if (size > 0) data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  close(fd);
  if (!is_file) return InvalidArgument(path + " is not a regular file");
  if (data == MAP_FAILED) {
    return InvalidArgument("cannot map " + path + ": " + std::strerror(error));
  }
  return std::unique_ptr<MappedFile>(new MappedFile(static_cast<const char*>(data), size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<char*>(data_), size_);
}

Result<std::vector<TensorEntry>> Checkpoint::AddFile(const std::string& path) {
  RA_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> mapping, MappedFile::Open(path));
  Result<SafetensorsLayout> layout = ParseSafetensors(mapping->bytes());
  if (!layout.ok()) return InFile(path, layout.status());
  files_.push_back({std::move(mapping), layout->data_offset});
  return std::move(layout->entries);
}

Status Checkpoint::OpenShards(const std::string& directory, const std::string& index_path) {
  RA_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> text, MappedFile::Open(index_path));
  const auto index = nlohmann::json::parse(text->bytes(), nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return InvalidArgument(index_path + ": not a JSON object with a weight_map");
  }
  std::map<std::string, std::vector<std::string>> names_of_shard;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (!shard.is_string()) {
      return InvalidArgument(index_path + ": weight_map names no file for " + name);
    }
    names_of_shard[shard.get<std::string>()].push_back(name);
  }
  for (const auto& [shard, names] : names_of_shard) {
    // A shard lies beside its index; anything else would let an index name files elsewhere.
    if (shard.empty() || shard == ".." || shard.find('/') != std::string::npos) {
      return InvalidArgument(index_path + ": \"" + shard + "\" is not a plain file name");
    }
    Result<std::vector<TensorEntry>> entries = AddFile(directory + "/" + shard);
    if (!entries.ok()) {
      return {entries.status().code(),
              "shard named by " + index_path + ": " + entries.status().message()};
    }
    std::map<std::string, TensorEntry> by_name;
    for (TensorEntry& entry : *entries) by_name.emplace(entry.name, std::move(entry));
    for (const std::string& name : names) {
      const auto found = by_name.find(name);
      if (found == by_name.end()) {
        return InvalidArgument(index_path + ": shard " + shard + " holds no tensor " + name);
      }
      tensors_.emplace(name, Located{files_.size() - 1, found->second});
    }
  }
  return {};
}

Result<std::unique_ptr<Checkpoint>> Checkpoint::Open(const std::string& directory) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint);
  const std::string single = directory + "/model.safetensors";
  const std::string index = single + ".index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    RA_ASSIGN_OR_RETURN(std::vector<TensorEntry> entries, checkpoint->AddFile(single));
    for (TensorEntry& entry : entries) {
      const std::string name = entry.name;
      checkpoint->tensors_.emplace(name, Located{0, std::move(entry)});
    }
  } else if (std::filesystem::exists(index, ignored)) {
    RA_RETURN_IF_ERROR(checkpoint->OpenShards(directory, index));
  } else {
    return Status(StatusCode::kNotFound,
                  directory + " holds neither model.safetensors nor model.safetensors.index.json" +
                      " (other checkpoint formats must be converted to safetensors)");
  }
  return checkpoint;
}

const TensorEntry* Checkpoint::Find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second.entry;
}

std::vector<std::string> Checkpoint::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, located] : tensors_) names.push_back(name);
  return names;
}

std::string_view Checkpoint::Data(const std::string& name) const {
  const auto& [file_index, entry] = tensors_.at(name);
  const File& file = files_[file_index];
  return file.mapping->bytes().substr(static_cast<size_t>(file.data_offset + entry.begin),
                                      static_cast<size_t>(entry.num_bytes()));
}

Status Checkpoint::Check(const std::string& name, const std::vector<int64_t>& shape) const {
  const TensorEntry* entry = Find(name);
  if (entry == nullptr) return InvalidArgument("the checkpoint has no tensor " + name);
  if (entry->shape != shape) {
    return InvalidArgument("tensor " + name + " has shape " + ShapeName(entry->shape) +
                           ", the configuration asks for " + ShapeName(shape));
  }
  if (!FloatDType(entry->dtype)) {
    return InvalidArgument("tensor " + name + " has elements of type " + entry->dtype +
                           "; F32, F16 and BF16 are supported");
  }
  return {};
}

Result<HostTensor> Checkpoint::Read(const std::string& name,
                                    const std::vector<int64_t>& shape) const {
  RA_RETURN_IF_ERROR(Check(name, shape));
  RA_CHECK(shape.size() == 1 || shape.size() == 2);
  const auto& [file_index, entry] = tensors_.at(name);
  const DType dtype = *FloatDType(entry.dtype);
  const File& file = files_[file_index];
  const char* data = file.mapping->bytes().data() + file.data_offset + entry.begin;
  HostTensor tensor;
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(DTypeBytes(dtype)) != 0) {
    tensor.copy.assign(data, data + entry.num_bytes());
    data = tensor.copy.data();
  }
  void* memory = const_cast<char*>(data);  // views have no const form; nobody writes through it
  tensor.view = shape.size() == 1 ? TensorView(memory, dtype, {shape[0]})
                                  : TensorView(memory, dtype, {shape[0], shape[1]});
  return tensor;
}

}  // namespace runahead
