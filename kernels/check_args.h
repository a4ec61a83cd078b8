// Preconditions of the ops, stated once for every backend. Thread-safe: pure functions.
#pragma once

#include "kernels/backend.h"

namespace runahead {

// Each RA_CHECKs shapes and dtypes of one op's arguments; ids and slots are checked where they are
// read.
void CheckArgs(const EmbedArgs& args);
void CheckArgs(const RmsNormArgs& args);
void CheckArgs(const AddRmsNormArgs& args);
void CheckArgs(const LinearArgs& args);
void CheckArgs(const SiluMulArgs& args);
void CheckArgs(const GatherRowsArgs& args);
void CheckArgs(const RopeStoreKvArgs& args);
void CheckArgs(const PagedAttentionArgs& args);
void CheckArgs(const ProcessLogitsArgs& args);
void CheckArgs(const SampleVerifyArgs& args);
void CheckArgs(const TopLogprobsArgs& args);
void CheckArgs(const CopyBlocksArgs& args);
void CheckArgs(const HostLinear& linear);
void CheckArgs(const BatchShape& shape, const AttentionLimits& limits);

}  // namespace runahead
