// Rates of the library's products against cuBLAS, a block under a budget, memory against the
// budget.
#pragma once

#include <cstddef>
#include <cstdint>

namespace struprune::test {

// Products, Gram matrices and attention; little ones where the tests are not `large`.
void PrintRates();

// A block with OPT's parts, and a head, for random weights.
struct BlockShape {
  const char* name;
  size_t hidden, ffn, heads, window, vocab;
};

// Streams both sites of the block as a solve does, with all of its sums, the passes of Gauss-Newton
// and the head, on a GPU of its own budget in bytes. Throws ERR_BUDGET where they do not fit.
void PrintBlock(uint64_t budget, const BlockShape& shape);

}  // namespace struprune::test
