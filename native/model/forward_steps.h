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
void Product(const Sublayer& layer, Part weight, size_t rows, const float* x, float beta,
             float* out);

// out[rows, n] = x[rows, k] Wᵀ (+ bias) for W[n, k].
void Linear(const Sublayer& layer, Part weight, Part bias, size_t rows, const float* x, float* out);

// The same of several weights, all of x.
struct Map {
  Part weight, bias;
  float* out;
};
void Linears(const Sublayer& layer, std::initializer_list<Map> maps, size_t rows, const float* x);

// up and, where it is gated, gate[rows, width] of x[rows, hidden].
void UpAndGate(const Sublayer& layer, size_t rows, const float* x, float* up, float* gate);

// What an FFN's output map reads, out[rows, width], of x[rows, hidden]; gate[rows, width] is
// scratch, null where there is no gate.
void FfnHidden(const Sublayer& layer, size_t rows, const float* x, float* gate, float* out);

// What the mixer reads of hidden[rows, hidden]: in scratch of that size where a norm stands before
// it, else the pointer itself.
const float* MixerInput(const Sublayer& layer, size_t rows, const float* hidden, float* scratch);

// Of a gated attention: room for the rows of its map, doubled[rows, 2 heads * head_dim], and what
// receives the gates[rows, heads * head_dim].
struct QueryGates {
  float* doubled = nullptr;
  float* gates = nullptr;
};

// q[rows, heads * head_dim], k and v[rows, kv_heads * head_dim] of what an attention reads, with
// bias, per-head norm and rope; `first` is the row's place in the flight, whose windows start at
// multiples of window. q_raw and k_raw (may be null) receive the values before the per-head norm.
void Project(const Sublayer& layer, const RopeTable* rope, size_t window, size_t first, size_t rows,
             const float* x, float* q, float* k, float* v, float* q_raw, float* k_raw,
             const QueryGates& gates = {});

// y[rows, hidden] = x[rows, width] Wᵀ + bias for the output map, then its norm where it has one.
void Output(const Sublayer& layer, size_t rows, const float* x, float* y);

// hidden[rows, hidden] += y[rows, hidden], what the output map gave, after the norm that it has for
// that, if any; then the stream's norm.
void AddToStream(const Sublayer& layer, size_t rows, float* y, float* hidden);

// hidden[rows, hidden] += Output, then the stream's norm. scratch[rows, hidden] where the output
// has a norm.
void AddOutput(const Sublayer& layer, size_t rows, const float* x, float* hidden, float* scratch);

// out[rows, hidden] = the stream's norm of x, which may be out; nothing where there is none.
void StreamNorm(const Sublayer& layer, size_t rows, const float* x, float* out);

// Those of the weights that the sublayer has and the pass has not packed, as every chunk of a
// flight of `rows` rows reads them.
Scan ScanOf(const Sublayer& layer, size_t rows, std::initializer_list<Part> weights);

// With the sublayer's sinks.
AttentionShape ShapeOf(const Sublayer& layer, size_t window);

// Throws ERR_NAN where one of hidden[rows, hidden] is no number.
void CheckFinite(const Sublayer& layer, size_t rows, const float* hidden);

}  // namespace struprune
