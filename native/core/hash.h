// A fast hash that finds bytes that changed by accident; not a cryptographic one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace struprune {

// XXH64 with seed 0, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
uint64_t Hash(std::span<const std::byte> bytes);

}  // namespace struprune
