// Running one block over paged hidden states, streamed by groups of whole windows.
#pragma once

#include <cstddef>
#include <initializer_list>

#include "core/needs.h"
#include "core/paged_matrix.h"
#include "model/block.h"
#include "tiles/statistics.h"

namespace struprune {

// Sums that a run over a site's tokens makes beside.
struct SumKinds {
  bool moments = false, gram = false, residual = false;
  bool inputs = false;  // and what a solver of the input weights works on, written beside
};

// Where the input of a site's output map goes, and what becomes of the hidden states.
struct SiteRun {
  size_t window = 0;              // tokens of a sequence; hidden has whole windows
  PagedMatrix* hidden = nullptr;  // [tokens, hidden], updated when `advance`, with what they keep
                                  // of the block's input (BlockInput)
  size_t first_rows = 0;          // so many of them alone, without sums and sinks; 0: all
  bool advance = true;            // hidden <- hidden (+ norm) with the site's output added
  Statistics* statistics = nullptr;
  // Target of feedback: residual R = beta (Y_dense - Y) + alpha (h_dense - h); both null = 0.
  PagedMatrix* dense_before = nullptr;  // dense hidden states before the site
  PagedMatrix* dense_after = nullptr;   // and after it
  float alpha = 0, beta = 0;
  PagedMatrix* keep = nullptr;  // [tokens, site width]: receives the input of the output map
  // What a solver of the FFN's input weights works on (passes/ffn_pass.h).
  PagedMatrix* inputs = nullptr;   // [tokens, hidden], or with a last column of ones: receives what
                                   // gate and up read
  PagedMatrix* targets = nullptr;  // [tokens, hidden]: receives the output map's output + R
  // Sums of an earlier run over the same tokens, whose activations this one must repeat to the last
  // bit: a GPU has as many tokens in flight as beside those (passes/site_on_device.h).
  SumKinds repeats = {};

  // Of all ranks, where they share the tokens, and those that are here.
  size_t rows() const { return first_rows > 0 ? first_rows : hidden->rows(); }
  RowRange held() const { return first_rows > 0 ? RowRange{0, first_rows} : hidden->held(); }
};

// SiteRun without its matrices.
struct SiteDemand {
  size_t window = 0, page = 0;  // tokens of a page of the states: whole windows
  size_t tokens = 0;
  bool advance = false, keep = false, moments = false, gram = false, residual = false;
  bool inputs = false, targets = false;
};
SiteDemand DemandOf(const SiteRun& run);

// Computes the site's activations X (attention: concatenated heads; FFN: hidden activation) from
// hidden and hands them to the sinks; with advance also applies the output map.
void RunSite(const Sublayer& layer, const SiteRun& run);
// What a run has on any backend: its work, and a page at hand of all that it keeps of the tokens,
// which lies in scratch. `ones`: `inputs` has a last column of ones.
Needs SiteSinkNeeds(const SublayerSpec& layer, size_t hidden, const SiteDemand& demand,
                    const TokenPages& tokens, bool ones);
// Of RunSite beside the block, the states (and their dense ones) and the statistics.
Needs RunSiteNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                   const SiteDemand& demand, const TokenPages& tokens, bool ones = false);

// Advances hidden by a site whose activations were kept: hidden += X[:, columns] Wᵀ + bias,
// X[tokens, n] full width as kept, columns the kept ones in order (all when empty).
void ApplySite(const Sublayer& layer, PagedMatrix& x, std::span<const int32_t> columns,
               PagedMatrix& hidden);
// Of ApplySite on some of the columns of activations that lie in scratch.
Needs ApplySiteNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                     const TokenPages& tokens);

// What sublayers that read the block's input (BlockInput) have of it beside the states, for the
// page with that row: where it lies, null where the states are it; the stream of a pass that goes
// on by whole pages from there; and its end, once so many rows have gone through.
PagedMatrix* EarlierInput(const Sublayer& layer, const PagedMatrix& states, size_t row);
Stream EarlierStream(const Sublayer& layer, PagedMatrix& states, size_t row, bool advance);
void ForgetInput(const Sublayer& layer, PagedMatrix& states, size_t rows);

// Rows in flight at once over [rows, …] matrices that are used together: a page of each. Throws
// ERR_ARGUMENT where their pages differ or hold no whole windows.
size_t FlightRows(size_t window, size_t rows, std::initializer_list<const PagedMatrix*> matrices);

// Useful flops of a sublayer's forward over `tokens` tokens, and of all: 2 per weight, and the
// causal half of attention.
double SublayerFlops(const SublayerSpec& layer, size_t hidden, size_t tokens, size_t window);
double BlockFlops(const BlockSpec& spec, size_t tokens, size_t window);

}  // namespace struprune
