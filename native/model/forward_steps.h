// The steps of a block's forward, shared by the forward and the backward pass. All work on
// contiguous rows of one flight; `rows` rows starting at row `first` of the flight.
#pragma once

#include <cstddef>
#include <initializer_list>

#include "core/row_chunks.h"
#include "model/block.h"
#include "ops/attention.h"
#include "ops/gemm.h"

namespace struprune {

// out[rows, n] = x[rows, k] Wᵀ + beta out for W[n, k], strip by strip of W.
void Product(const Block& block, Role weight, size_t rows, const float* x, float beta, float* out);

// out[rows, n] = x[rows, k] Wᵀ (+ bias) for W[n, k].
void Linear(const Block& block, Role weight, Role bias, size_t rows, const float* x, float* out);

// The same of several weights, all of x.
struct Map {
  Role weight, bias;
  float* out;
};
void Linears(const Block& block, std::initializer_list<Map> maps, size_t rows, const float* x);

// up and, in gated blocks, gate[rows, ffn] of x[rows, hidden].
void UpAndGate(const Block& block, size_t rows, const float* x, float* up, float* gate);

// What the FFN's output map reads, out[rows, ffn], of x[rows, hidden]; gate[rows, ffn] is scratch,
// null in blocks without a gate.
void FfnHidden(const Block& block, size_t rows, const float* x, float* gate, float* out);

// Norm before a site (pre-norm), or a copy of the pointer when the block is post-norm: returns what
// the site's input maps read; scratch[rows, hidden] may be used.
const float* SiteInput(const Block& block, SiteKind site, size_t rows, const float* hidden,
                       float* scratch);

// q[rows, heads * head_dim], k and v[rows, kv_heads * head_dim] of normed input x, with bias,
// per-head norm and rope; `first` is the row's place in the flight, whose windows start at
// multiples of window. q_raw and k_raw (may be null) receive the values before the per-head norm.
void Project(const Block& block, const RopeTable* rope, size_t window, size_t first, size_t rows,
             const float* x, float* q, float* k, float* v, float* q_raw, float* k_raw);

// hidden[rows, hidden] += x[rows, width] Wᵀ + bias for the site's output map, then the norm of a
// post-norm block.
void AddOutput(const Block& block, SiteKind site, size_t rows, const float* x, float* hidden);

// Those of the weights that the block has and the pass has not packed, as every chunk of a flight
// of `rows` rows reads them.
Scan ScanOf(const Block& block, size_t rows, std::initializer_list<Role> weights);

AttentionShape ShapeOf(const BlockSpec& spec, size_t window);

}  // namespace struprune
