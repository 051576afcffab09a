// Names of the activations.
#pragma once

namespace struprune {

// kGeluTanh: GELU by its tanh approximation (transformers' gelu_pytorch_tanh and gelu_new).
enum class Activation { kSilu, kRelu, kGelu, kGeluTanh };

}  // namespace struprune
