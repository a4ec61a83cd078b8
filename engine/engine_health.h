// EngineHealth: the engine's state as /health shows it. Value type.
#pragma once

#include <cstdint>

namespace runahead {

enum class EngineHealth : uint8_t {
  kServing,
  kDraining,  // refuses new requests, finishes those it has
  kStuck,     // the current step takes longer than stuck_after
  kFailed,    // sticky: the device is lost or a step threw
  kStopped,
};

}  // namespace runahead
