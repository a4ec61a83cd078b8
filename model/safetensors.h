// Safetensors: memory-mapped tensors of a checkpoint, one file or shards with an index. Immutable
// once open.
//
// Format: https://github.com/huggingface/safetensors#format. Nothing in a file is trusted: every
// length, offset and shape is checked before it is used, and what is wrong is named.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor_view.h"
#include "model/safetensors_header.h"

namespace runahead {

// A file's bytes, header included (fuzzing and tests go through here).
struct SafetensorsLayout {
  std::vector<TensorEntry> entries;
  int64_t data_offset = 0;  // of the data section in the file
};
Result<SafetensorsLayout> ParseSafetensors(std::string_view file);

// A read-only mapping of a whole file.
class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> Open(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::string_view bytes() const { return {data_, size_}; }

 private:
  MappedFile(const char* data, size_t size) : data_(data), size_(size) {}
  const char* data_;
  size_t size_;
};

// A tensor's elements: a view into the mapping, or into `copy` where the file does not align them.
struct HostTensor {
  TensorView view;
  std::vector<char> copy;
};

// All tensors of a checkpoint directory.
class Checkpoint {
 public:
  // Opens model.safetensors, else the shards named by model.safetensors.index.json.
  static Result<std::unique_ptr<Checkpoint>> Open(const std::string& directory);

  // Null where there is none.
  const TensorEntry* Find(const std::string& name) const;
  std::vector<std::string> Names() const;  // ascending
  // The bytes of a tensor that is there, as they lie in the mapping, aligned or not.
  std::string_view Data(const std::string& name) const;

  // Ok when the tensor is there, has that shape and elements that can be read.
  Status Check(const std::string& name, const std::vector<int64_t>& shape) const;
  // The tensor, whose shape must be `shape` and whose elements must be F32, F16 or BF16. The view
  // lives as long as both this and the result.
  Result<HostTensor> Read(const std::string& name, const std::vector<int64_t>& shape) const;

 private:
  struct Located {
    size_t file;
    TensorEntry entry;
  };
  struct File {
    std::unique_ptr<MappedFile> mapping;
    int64_t data_offset;
  };

  Checkpoint() = default;
  Result<std::vector<TensorEntry>> AddFile(const std::string& path);
  Status OpenShards(const std::string& directory, const std::string& index_path);

  std::vector<File> files_;
  std::map<std::string, Located> tensors_;
};

}  // namespace runahead
