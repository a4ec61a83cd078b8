#include "compress/safetensors_writer.h"

#include <cerrno>
#include <cstring>

#include "nlohmann/json.hpp"
#include <fcntl.h>
#include <unistd.h>

#include "core/check.h"

namespace runahead {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

Status Failed(const std::string& path) {
  return {StatusCode::kInternal, "cannot write " + path + ": " + std::strerror(errno)};
}

// With "format": "pt", without which transformers does not read a file, and padded so that the data
// section begins aligned.
std::string HeaderOf(const std::vector<PlannedTensor>& tensors, int64_t& data_bytes) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  for (const PlannedTensor& tensor : tensors) {
    RA_CHECK(!header.contains(tensor.name), "two tensors of one name");
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data_bytes, data_bytes + tensor.num_bytes}}};
    data_bytes += tensor.num_bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

Result<std::unique_ptr<SafetensorsWriter>> SafetensorsWriter::Create(
    const std::string& path, const std::vector<PlannedTensor>& tensors) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return Failed(path);
  std::unique_ptr<SafetensorsWriter> writer(new SafetensorsWriter(path, fd));
  const std::string header = HeaderOf(tensors, writer->num_missing_);
  const uint64_t length = header.size();
  RA_RETURN_IF_ERROR(writer->WriteAll({reinterpret_cast<const char*>(&length), sizeof(length)}));
  RA_RETURN_IF_ERROR(writer->WriteAll(header));
  return writer;
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(path_.c_str());
}

Status SafetensorsWriter::WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path_);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Status SafetensorsWriter::Flush() {
  RA_RETURN_IF_ERROR(WriteAll(buffer_));
  buffer_.clear();
  return {};
}

Status SafetensorsWriter::Append(std::string_view bytes) {
  num_missing_ -= static_cast<int64_t>(bytes.size());
  RA_CHECK_GE(num_missing_, 0);
  if (bytes.size() >= kBufferBytes) {
    RA_RETURN_IF_ERROR(Flush());
    return WriteAll(bytes);
  }
  buffer_ += bytes;
  return buffer_.size() < kBufferBytes ? Status() : Flush();
}

Status SafetensorsWriter::Finish() {
  RA_CHECK_EQ(num_missing_, 0);
  RA_RETURN_IF_ERROR(Flush());
  // What the disk refuses late it refuses here.
  if (fsync(fd_) != 0 && errno != EINVAL) return Failed(path_);
  const int fd = fd_;
  fd_ = -1;
  if (close(fd) == 0) return {};
  const Status failed = Failed(path_);
  unlink(path_.c_str());
  return failed;
}

}  // namespace runahead
