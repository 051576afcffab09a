// What a call will take, said before it runs by the code that runs it: each pass has a struct of
// the sizes of its buffers, which its allocations and its Needs read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/context.h"
#include "core/segments.h"

namespace struprune {

struct Needs {
  size_t memory = 0;        // most bytes that it charges to the budget at a time
  size_t scratch = 0;       // most bytes that lie in scratch beside them
  uint64_t device = 0;      // most bytes of the GPU's memory that are in use at a time
  size_t passes = 1;        // over the tokens, on a GPU that does not hold all sums at once
  double float_flops = 0;   // useful ones in single precision
  double search_flops = 0;  // the same of products that search (Purpose::kSearching)
  double double_flops = 0;
  double sent = 0;  // bytes of sums to other ranks

  // Both at the same time.
  Needs& operator+=(const Needs& other) {
    return *this = Joined(other, memory + other.memory, scratch + other.scratch);
  }
  friend Needs operator+(Needs a, const Needs& b) { return a += b; }
  // One after the other.
  Needs Then(const Needs& other) const {
    return Joined(other, std::max(memory, other.memory), std::max(scratch, other.scratch));
  }
  // As often, one after the other.
  Needs Times(size_t count) const {
    Needs all = *this;
    all.float_flops *= static_cast<double>(count);
    all.search_flops *= static_cast<double>(count);
    all.double_flops *= static_cast<double>(count);
    all.sent *= static_cast<double>(count);
    return all;
  }

 private:
  // Work adds up, and a GPU has one call at a time.
  Needs Joined(const Needs& other, size_t host, size_t spilt) const {
    return {.memory = host,
            .scratch = spilt,
            .device = std::max(device, other.device),
            .passes = std::max(passes, other.passes),
            .float_flops = float_flops + other.float_flops,
            .search_flops = search_flops + other.search_flops,
            .double_flops = double_flops + other.double_flops,
            .sent = sent + other.sent};
  }
};

// Bytes of the host's memory that are there all the time.
inline Needs Held(size_t bytes) { return {.memory = bytes}; }
inline Needs HeldFloats(size_t count) { return Held(count * sizeof(float)); }
inline Needs HeldDoubles(size_t count) { return Held(count * sizeof(double)); }
// Of `bytes`, of which those at hand alone must be in memory where they are `paged`.
inline Needs Pages(size_t bytes, size_t at_hand, bool paged) {
  const size_t memory = paged ? std::min(bytes, at_hand) : bytes;
  return {.memory = memory, .scratch = bytes - memory};
}

// Of a pass whose products search.
inline Needs Searching(Needs pass) {
  pass.search_flops += std::exchange(pass.float_flops, 0);
  return pass;
}

// Of a whole matrix of floats.
inline Needs MatrixNeeds(size_t rows, size_t cols) { return HeldFloats(rows * cols); }

// Tokens of the matrices that a call works on, in pages of whole windows.
struct TokenPages {
  size_t rows = 0, page_rows = 1;
  bool paged = false;  // only what is at hand of them is in memory; else they are somebody else's
  bool tiles_paged = false;  // the same of tiles of what is summed of them
  Share share = {};          // of ranks that share them

  // Rows of a page.
  size_t flight() const { return std::min(rows, page_rows); }
  Segments segments() const { return Segments(rows, page_rows, share); }
  // Those that the rank has.
  size_t held() const { return segments().held().size(); }
  // The page at hand of such a matrix.
  Needs View(size_t cols) const { return paged ? HeldFloats(flight() * cols) : Needs{}; }
};

}  // namespace struprune
