// Names of the activations.
#pragma once

namespace struprune {

enum class Activation { kSilu, kRelu, kGelu };

}  // namespace struprune
