#include "core/hash.h"

#include <gtest/gtest.h>

#include <vector>

namespace struprune {
namespace {

// python -c "import xxhash; d = bytes((i * 131 + 7) & 255 for i in range(1000));
//   [print(n, hex(xxhash.xxh64(d[:n]).intdigest())) for n in (0, 1, 4, ...)]", xxhash 3.
TEST(HashTest, IsXxh64) {
  std::vector<std::byte> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 131 + 7);
  const struct {
    size_t length;
    uint64_t hash;
  } cases[] = {{0, 0xef46db3751d8e999u},   {1, 0xa96c7f0ce858bbb7u},  {4, 0xfa212ae44b3bb23du},
               {7, 0x2744460dd675d2c0u},   {8, 0x994b676b71ce94ddu},  {31, 0x6711d55e306b5d8fu},
               {32, 0x07f7b8e3bc5d6e25u},  {33, 0x09f85eeb4e1cbe9fu}, {100, 0x9ddada11d3dc2d8fu},
               {1000, 0x0bf0bdbcc82eb373u}};
  for (const auto& [length, hash] : cases) {
    EXPECT_EQ(Hash(std::span(bytes).first(length)), hash) << length;
  }
}

}  // namespace
}  // namespace struprune
