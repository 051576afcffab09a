// A site (attention or FFN) on a GPU, page by page: the operations of model/forward.h over a page
// of tokens, with weights that are there once.
#pragma once

#include <array>
#include <optional>

#include "backend/segment_sums_on_device.h"
#include "core/segments.h"
#include "model/forward.h"
#include "passes/weight_loader.h"

namespace struprune {

// What is there at a time.
struct SiteShape {
  const SublayerSpec& layer;
  size_t hidden;
  SiteDemand demand;
  bool after;            // dense states after the site are read too
  size_t flight = 0;     // most rows of a page, whole windows
  size_t gram_rows = 0;  // most rows of the Gram that a pass sums; 0: none
};

// How its tokens are summed. Where every segment is one addition, which needs no sum of its own,
// all are one: its additions come in the order of the segments.
Segments SegmentsOf(const CudaDevice& gpu, const SiteShape& shape);

BodyBytes SiteBytes(const CudaDevice& gpu, const SiteShape& shape);

// Doubles of its sums by column on their way back.
struct MomentCounts {
  size_t sums, residual_sums;
  size_t Total() const { return 2 * sums + residual_sums; }
};

class SiteBody : private PageBody {
 public:
  SiteBody(const CudaDevice& gpu, const Sublayer& layer, const SiteRun& run,
           const SiteShape& shape);

  void LoadWeights();
  // One pass of all tokens: rows [row, row + count) of the Gram, those columns of RᵀX (all of them
  // where there is no Gram), and in the last one all else. The run's statistics get the sums.
  void Pass(size_t row, size_t count, bool last);

 private:
  struct Slot {
    Slot(const CudaDevice& gpu, const SiteShape& shape);
    PinnedArray<float> in, input_in, before, after, out, x_out, inputs_out, targets_out;
    PinnedArray<int32_t> finite_out;
    CudaArray<float> hidden, input, dense_before, dense_after;
    // Only where they go back to the host: else pages share the body's.
    CudaArray<float> x, inputs, targets;
    CudaArray<int32_t> finite;
  };
  struct MapParts {
    Part weight, bias;
  };
  static constexpr std::array<MapParts, 6> kMaps = {{{Part::kQ, Part::kQBias},
                                                     {Part::kK, Part::kKBias},
                                                     {Part::kV, Part::kVBias},
                                                     {Part::kUp, Part::kUpBias},
                                                     {Part::kGate, Part::kGateBias},
                                                     {Part::kOut, Part::kOutBias}}};

  void Stage(size_t slot, const DevicePage& page) override;
  void Upload(size_t slot, const DevicePage& page) override;
  void Forward(size_t slot, const DevicePage& page) override;
  void Sum(size_t slot, const DevicePage& page) override;
  void Finish(size_t slot, const DevicePage& page) override;
  void Download(size_t slot, const DevicePage& page) override;
  void Take(size_t slot, const DevicePage& page) override;

  void LoadVectors();
  const DeviceMap& Map(Part part) const;
  float* X(const Slot& slot) const { return slot.x.data() ? slot.x.data() : x_.data(); }
  void Norm(const NormSpec& norm, const CudaArray<float>& weight, const CudaArray<float>& bias,
            size_t rows, size_t cols, const float* from, float* to) const;
  void Attention(const DevicePage& page, const float* in, float* x) const;
  void FeedForward(size_t rows, const float* in, float* x) const;
  void Residual(const Slot& slot, size_t rows) const;
  void AddOutput(const Slot& slot, size_t rows) const;
  void Combine(size_t count, float alpha, const float* a, float beta, const float* b,
               float* to) const;
  void TakeInputs(const float* from, const DevicePage& page) const;
  void ReadBand();
  void ReadTotals();

  const CudaDevice& gpu_;
  const Sublayer layer_;
  const SublayerSpec& spec_;
  const SiteRun& run_;
  const SiteShape shape_;
  const size_t hidden_, width_;
  Context& context_;
  const cuda::Precision forward_, gram_precision_;
  Slot slots_[kSlots];
  CudaArray<float> norm_, norm_bias_, out_norm_, out_norm_bias_, stream_norm_, stream_norm_bias_,
      q_norm_, k_norm_, sinks_, cosine_, sine_;
  std::array<DeviceMap, kMaps.size()> maps_;
  CudaArray<float> x_, normed_, q_, k_, v_, gate_, residual_;
  const Segments segments_;
  SegmentSumsOnDevice sums_;
  std::optional<RopeTable> rope_;  // while it is copied
  const StreamClock clock_;
  size_t row_ = 0, count_ = 0;  // of the pass at hand: rows of the Gram
  bool last_ = true;
  WeightLoader loader_;
  PageRunner runner_;
};

}  // namespace struprune
