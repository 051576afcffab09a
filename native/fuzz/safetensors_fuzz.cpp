// libFuzzer target: any bytes are either a safetensors header or a struprune::Error.
#include <span>

#include "core/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  try {
    for (const struprune::TensorInfo& tensor : struprune::ParseSafetensors(file, "fuzz").tensors) {
      // What the parser promises its callers.
      if (tensor.offset > size || tensor.bytes > size - tensor.offset) __builtin_trap();
    }
  } catch (const struprune::Error&) {
  }
  return 0;
}
