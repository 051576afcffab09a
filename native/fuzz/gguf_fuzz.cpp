// libFuzzer target: any bytes are either a GGUF header or a struprune::Error.
#include <span>
#include <string_view>

#include "core/error.h"
#include "formats/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  try {
    const struprune::GgufFile parsed = struprune::ParseGguf(file, "fuzz");
    for (const struprune::TensorInfo& tensor : parsed.tensors) {
      // What the parser promises its callers.
      if (tensor.offset > size || tensor.bytes > size - tensor.offset) __builtin_trap();
    }
    // Every accepted entry can be walked.
    for (const struprune::GgufEntry& entry : parsed.metadata) struprune::TypeNameOf(entry);
  } catch (const struprune::Error& error) {
    // The walk over a checked entry has nothing to complain of.
    if (std::string_view(error.what()).substr(0, 4) != "fuzz") __builtin_trap();
  }
  return 0;
}
