// The gated delta rule (arXiv 2412.06464), as transformers' Qwen3-Next and Qwen3.5 have it.
#pragma once

#include <cstddef>
#include <vector>

namespace struprune {

// Rows of so many channels, convolved over the last `kernel` tokens of each, then SiLU: out[count,
// width] of rows [first, first + count) of in[rows, width] by weights[width, kernel], the token's
// own last. Windows start at multiples of `window`, before which there is nothing.
void ConvolveSilu(size_t width, size_t kernel, const float* weights, size_t window, size_t first,
                  size_t count, const float* in, float* out);

struct DeltaRule {
  size_t key_heads = 0, value_heads = 0;
  size_t key_dim = 0, value_dim = 0;
  bool tiled = false;             // every so-many-th value head shares a key head, not neighbours
  float eps = 0;                  // of the norm of what a head gives
  const float* decay = nullptr;   // [value_heads], logarithms of rates
  const float* step = nullptr;    // [value_heads], biases of steps
  const float* weight = nullptr;  // [value_dim], of that norm
};

// A window's tokens as a head reads them, rows of as many columns as each has.
struct DeltaInputs {
  const float *queries, *keys;  // [key_heads * key_dim]
  const float *values, *gate;   // [value_heads * value_dim]
  const float* beta;            // [value_heads], logits of how far a memory gives way
  const float* alpha;           // [value_heads], what steps are made of
};

// out[tokens, value_heads * value_dim], the columns of one value head: for unit keys k and queries
// q and the state S, which begins at 0, token by token
//   S <- e^-(e^decay softplus(alpha + step)) S;  S <- S + k (sigmoid(beta) (v - S'k))'
//   o = S'q / sqrt(key_dim);  out = norm(o) silu(gate)
void RunDeltaHead(const DeltaRule& rule, size_t head, size_t tokens, const DeltaInputs& in,
                  float* out, float* scratch);
// Floats of that scratch.
size_t DeltaScratch(size_t key_dim, size_t value_dim);

}  // namespace struprune
