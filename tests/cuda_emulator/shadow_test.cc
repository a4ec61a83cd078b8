#include "tests/cuda_emulator/shadow.h"

#include <gtest/gtest.h>

namespace runahead::emulator {
namespace {

class SharedShadowTest : public testing::Test {
 protected:
  SharedShadowTest() {
    clocks_.Reset(64);
    shadow_.Reset(256);
  }
  bool Read(int thread, int64_t at, int64_t bytes = 4) {
    return shadow_.Note(thread, at, bytes, Access::kRead);
  }
  bool Write(int thread, int64_t at, int64_t bytes = 4) {
    return shadow_.Note(thread, at, bytes, Access::kWrite);
  }
  bool Atomic(int thread, int64_t at) { return shadow_.Note(thread, at, 4, Access::kAtomic); }

  Clocks clocks_;
  SharedShadow shadow_{clocks_};
};

TEST_F(SharedShadowTest, ReadsOfUnwrittenBytesAreFound) {
  EXPECT_FALSE(Read(0, 0));
  EXPECT_TRUE(Write(0, 0, 3));
  EXPECT_TRUE(Read(0, 0, 3));
  EXPECT_FALSE(Read(0, 0, 4)) << "the fourth byte";
  EXPECT_TRUE(Write(0, 62, 4)) << "across cells";
  EXPECT_TRUE(Read(0, 62, 4));
}

TEST_F(SharedShadowTest, WriteThenReadNeedsABarrier) {
  EXPECT_TRUE(Write(0, 0));
  EXPECT_TRUE(Read(0, 0)) << "one's own";
  EXPECT_FALSE(Read(1, 0));
  clocks_.SyncBlock();
  EXPECT_TRUE(Read(1, 0));
}

TEST_F(SharedShadowTest, ReadThenWriteNeedsABarrier) {
  EXPECT_TRUE(Write(0, 0));
  clocks_.SyncBlock();
  for (int thread = 0; thread < 64; ++thread) EXPECT_TRUE(Read(thread, 0));
  EXPECT_FALSE(Write(5, 0)) << "others of its warp and another warp have read";
  clocks_.SyncBlock();
  EXPECT_TRUE(Write(5, 0));
}

TEST_F(SharedShadowTest, AWarpBarrierDoesNotOrderAnotherWarpsReads) {
  EXPECT_TRUE(Write(0, 0));
  clocks_.SyncBlock();
  for (int thread = 0; thread < 64; ++thread) EXPECT_TRUE(Read(thread, 0));
  clocks_.SyncWarp(0, ~0u);
  EXPECT_FALSE(Write(0, 0));
}

TEST_F(SharedShadowTest, WriteThenWriteNeedsABarrier) {
  EXPECT_TRUE(Write(0, 0));
  EXPECT_FALSE(Write(33, 0));
}

TEST_F(SharedShadowTest, NeighbouringBytesAreNotOne) {
  EXPECT_TRUE(Write(0, 0, 1));
  EXPECT_TRUE(Write(1, 1, 1));
  EXPECT_TRUE(Write(2, 2, 2));
  clocks_.SyncBlock();
  EXPECT_TRUE(Read(3, 0, 4));
}

TEST_F(SharedShadowTest, AtomicsRaceWithPlainAccessesAlone) {
  EXPECT_FALSE(Atomic(0, 0)) << "nothing there yet";
  EXPECT_TRUE(Write(0, 0));
  clocks_.SyncBlock();
  EXPECT_TRUE(Atomic(0, 0));
  EXPECT_TRUE(Atomic(40, 0));
  EXPECT_FALSE(Read(1, 0));
  clocks_.SyncBlock();
  EXPECT_TRUE(Read(1, 0));
}

TEST_F(SharedShadowTest, AnAsynchronousCopyIsThereWhenItsIssuerHasWaited) {
  EXPECT_TRUE(shadow_.NoteAsyncIssue(0, 16, 16));
  EXPECT_FALSE(Read(0, 16));
  shadow_.NoteAsyncDone(0, clocks_.time(0), 16, 16, false);
  EXPECT_TRUE(Read(0, 16));
  EXPECT_FALSE(Read(1, 16)) << "others need a barrier after the wait";
  clocks_.SyncBlock();
  EXPECT_TRUE(Read(1, 16));
  EXPECT_FALSE(shadow_.NoteAsyncIssue(0, 16, 16)) << "thread 1 may still read";
}

TEST_F(SharedShadowTest, AnAsynchronousReadHoldsItsBytesUntilItsWait) {
  EXPECT_FALSE(shadow_.NoteAsyncReadIssue(0, 0, 16));
  EXPECT_TRUE(shadow_.is_uninitialised());
  EXPECT_TRUE(Write(1, 0, 16));
  clocks_.SyncBlock();
  EXPECT_FALSE(shadow_.NoteAsyncReadIssue(0, 0, 16));
  EXPECT_TRUE(shadow_.is_unfenced());
  clocks_.FenceProxy(0);
  EXPECT_TRUE(shadow_.NoteAsyncReadIssue(0, 0, 16));
  EXPECT_FALSE(Write(0, 4)) << "its own issuer too";
  clocks_.SyncBlock();
  EXPECT_FALSE(Write(1, 4)) << "a barrier is no wait";
  shadow_.NoteAsyncReadDone(0, 0, 16);
  EXPECT_FALSE(Write(1, 4)) << "a barrier before the wait";
  clocks_.SyncBlock();
  EXPECT_TRUE(Write(1, 4));
}

}  // namespace
}  // namespace runahead::emulator
