// PoisonCache: what nobody may read, wherever K/V could stand.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/backend.h"
#include "kvcache/kv_cache.h"

namespace runahead {

// Without it a row left from an earlier test of the same requests could stand for one that was
// never computed.
inline void PoisonCache(Backend& backend, KvCache& cache) {
  for (int i = 0; i < cache.shape().num_layers; ++i) {
    for (const TensorView& rows : {cache.layer(i).k, cache.layer(i).v}) {
      const auto count = static_cast<size_t>(rows.NumBytes()) / sizeof(float);
      const std::vector<float> poison(count, 37.0f);
      backend.CopyToDevice(rows.data, poison.data(), rows.NumBytes());
    }
  }
  backend.Wait(backend.Record());
}

}  // namespace runahead
