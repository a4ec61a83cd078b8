// Writes safetensors files tensor by tensor: the header first, then the bytes as they come, so that
// no model is ever held whole. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace runahead {

// A tensor whose bytes come later.
struct PlannedTensor {
  std::string name;
  std::string dtype;           // as the header names it: "BF16"
  std::vector<int64_t> shape;  // outermost first
  int64_t num_bytes = 0;       // of all elements
};

class SafetensorsWriter {
 public:
  // Creates the file, which must not exist, and writes the header. Names must differ.
  static Result<std::unique_ptr<SafetensorsWriter>> Create(
      const std::string& path, const std::vector<PlannedTensor>& tensors);
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
  ~SafetensorsWriter();  // removes a file that was not finished

  // The next bytes of the tensors, in their order.
  Status Append(std::string_view bytes);
  // Once all bytes are there.
  Status Finish();

 private:
  SafetensorsWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Status WriteAll(std::string_view bytes);
  Status Flush();

  std::string path_;
  int fd_;
  std::string buffer_;
  int64_t num_missing_ = 0;  // bytes of the data section still to come
};

}  // namespace runahead
