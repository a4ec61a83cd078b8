#include "kernels/registry.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "kernels/cuda_device.h"

namespace runahead {
namespace {

TEST(Registry, MakesEveryNamedBackend) {
  for (const std::string& name : BackendNames()) {
    const auto backend = MakeBackend(name, {});
    ASSERT_TRUE(backend.ok()) << name;
    EXPECT_EQ((*backend)->info().name, name);
    EXPECT_GT((*backend)->info().memory_bytes, 0);
    EXPECT_GE((*backend)->info().num_threads, 1);
  }
}

// Whatever machine and build this is: `auto` gives CUDA, or the CPU and, where the build has CUDA,
// the reason.
TEST(Registry, AutoTakesCudaWhereItIsThere) {
  std::string notice = "what was there before";
  const auto backend = MakeBackend("auto", {}, &notice);
  ASSERT_TRUE(backend.ok()) << backend.status().message();
  const auto cuda = MakeBackend("cuda", {});
  EXPECT_EQ((*backend)->info().name, cuda.ok() ? "cuda" : "cpu");
  EXPECT_EQ(notice, cuda.ok() || !HasCudaBackend() ? "" : cuda.status().message());
  EXPECT_EQ(notice.find('\n'), std::string::npos);
}

TEST(Registry, CudaStopsWithTheCause) {
  // No machine has so many.
  const auto backend = MakeBackend("cuda", {.cuda_device = 1000});
  ASSERT_FALSE(backend.ok());
  EXPECT_EQ(backend.status().code(), StatusCode::kUnavailable);
  if (!HasCudaBackend()) {
    EXPECT_THAT(backend.status().message(), testing::HasSubstr("RUNAHEAD_CUDA=ON"));
  } else if (access("/dev/nvidiactl", F_OK) != 0) {
    EXPECT_THAT(backend.status().message(),
                testing::HasSubstr("no CUDA device: no NVIDIA driver is loaded"));
  } else {
    EXPECT_THAT(backend.status().message(), testing::HasSubstr("CUDA"));
  }
}

TEST(Registry, NamesWhatThereIsWhenAskedForAnother) {
  const auto backend = MakeBackend("tpu", {});
  ASSERT_FALSE(backend.ok());
  EXPECT_EQ(backend.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(backend.status().message(), testing::HasSubstr("cpu, ref"));
}

TEST(Registry, ForcesAnInstructionSetInAnyCase) {
  for (std::string isa : CpuIsaNames()) {
    const auto backend = MakeBackend("cpu", {.num_threads = 2, .isa = isa});
    ASSERT_TRUE(backend.ok());
    EXPECT_THAT((*backend)->info().detail, testing::StartsWith(isa + " "));
    EXPECT_THAT((*backend)->info().detail, testing::EndsWith("2 threads"));
    for (char& c : isa) c = static_cast<char>(std::tolower(c));
    EXPECT_TRUE(MakeBackend("cpu", {.isa = isa}).ok());
  }
}

TEST(Registry, RefusesAnInstructionSetThisMachineLacks) {
  const auto backend = MakeBackend("cpu", {.isa = "MMX"});
  ASSERT_FALSE(backend.ok());
  EXPECT_THAT(backend.status().message(), testing::HasSubstr(CpuIsaNames().front()));
}

TEST(Registry, MemoryIsZeroedAndAligned) {
  for (const std::string& name : BackendNames()) {
    const auto backend = MakeBackend(name, {});
    for (const int64_t bytes : {1, 1000, 3 << 20}) {
      const DeviceBuffer buffer = (*backend)->Allocate(bytes, MemoryKind::kDevice);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
      EXPECT_EQ(buffer.bytes(), bytes);
      const auto* data = static_cast<const char*>(buffer.data());
      EXPECT_EQ(data[0], 0);
      EXPECT_EQ(data[bytes - 1], 0);
    }
  }
}

}  // namespace
}  // namespace runahead
