// What the library calls kinds of norms and activations (cuda/abi.h).
#pragma once

#include "core/error.h"
#include "cuda/abi.h"
#include "ops/activation_kind.h"
#include "ops/norm.h"

namespace struprune {

inline cuda::Norm CodeOf(NormKind kind) {
  return kind == NormKind::kRms ? cuda::Norm::kRms : cuda::Norm::kLayer;
}

inline cuda::Gate CodeOf(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return cuda::Gate::kSilu;
    case Activation::kRelu:
      return cuda::Gate::kRelu;
    case Activation::kGelu:
      return cuda::Gate::kGelu;
    case Activation::kGeluTanh:
      return cuda::Gate::kGeluTanh;
  }
  throw Error("ERR_INTERNAL", "an activation that the GPU does not know");
}

}  // namespace struprune
