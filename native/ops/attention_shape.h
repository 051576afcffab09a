// What attention works on: its shape, a thread's scratch, packed keys and values.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/packed_operand.h"

namespace struprune {

// Queries of one forward tile.
inline constexpr size_t kQueryTile = 128;

struct AttentionShape {
  size_t window = 0;  // tokens of one sequence
  size_t heads = 0;
  size_t kv_heads = 0;  // divides heads; query head h reads kv head h / (heads / kv_heads)
  size_t head_dim = 0;
  size_t sliding = 0;  // tokens a query may look back on, itself included; 0 = all
  float scale = 1;     // > 0
  float cap = 0;       // of scaled scores (ops/soft_cap.h); 0: none
  // [heads], null: none. exp(sink) joins the denominator of a query's softmax, as of one key more
  // whose value is 0.
  const float* sinks = nullptr;

  // The kernels in AMX tiles have no place for the rest.
  bool plain() const { return cap == 0 && !sinks; }
};

// Scratch of one thread, grown on first use.
struct AttentionScratch {
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<float> scores, aux;
  std::vector<Line> lines;  // of tiles, in place of them
};

// Keys and values of a kv head, packed as operands B of q kᵀ and of P v, and where in them the
// sequence starts.
struct PackedHead {
  const PackedOperand &keys, &values;
  size_t row;
};

}  // namespace struprune
