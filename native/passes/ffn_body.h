// Passes of an FFN's least squares (passes/ffn_pass.h) on a GPU, page by page.
#pragma once

#include <array>

#include "backend/host_pages.h"
#include "backend/segment_sums_on_device.h"
#include "passes/ffn_tokens.h"
#include "passes/weight_loader.h"

namespace struprune {

// Of the least squares Ŷ = P Dᵀ + b over its inputs X and targets Y (docs/method.md, section 7; J
// is the derivative of Ŷ by the input weights).
enum class FfnPass : uint8_t {
  kGradient,  // Jᵀ(Y − Ŷ), and what the Kronecker approximation of JᵀJ is made of
  kProduct,   // ‖J v‖² for a change v of the input weights and, where it has a band, JᵀJ v
  kHidden,    // P, and as residual Y − Ŷ: what a refit of D needs
};

// What is there at a time. `map.page` does not count.
struct FfnBodyShape {
  FfnShape map;
  FfnPass pass;
  size_t flight;  // most rows of a page
  size_t band;    // most channels of which a way over the tokens makes rows of the sums
};

// Of the passes but the hidden activations: these make the refit that judges what the others find
// (docs/decisions/0016).
cuda::Precision SearchPrecision(cuda::Precision calibration);

BodyBytes FfnBytes(const CudaDevice& gpu, const FfnBodyShape& shape);

class FfnBody : private PageBody {
 public:
  FfnBody(const CudaDevice& gpu, Context& context, const FfnMap& map, const FfnTokens& tokens,
          const FfnBodyShape& shape);

  // Of the map, and of a product the change.
  void LoadWeights(const InputWeights* change);
  // One way over the tokens: rows [row, row + count) of the sums from zero, and in the last one all
  // other sums.
  void Way(const std::vector<FfnPage>& pages, size_t row, size_t count, bool last);

  // What the way summed: by part the gradient [count, inputs] (JᵀJ v in a product) and the Gram
  // [count, width] of the slopes.
  DeviceSums Gradient(size_t part);
  DeviceSums Curvature(size_t part);
  // After the last way of a gradient the Gram of X; in kHidden rows of that of P, and those columns
  // of (Y − Ŷ)ᵀP.
  DeviceSums Gram();
  DeviceSums Cross();
  // Adds rows of a sum: add(at, count, rows).
  template <typename Add>
  void Read(const DeviceSums& sums, Add add) const {
    BringSums(gpu_, context_, clock_, sums, add);
  }
  // Null where they are not wanted. Squares and sums by column of X (kGradient) or P (kHidden);
  // sums of Y − Ŷ (kHidden); ‖Y − Ŷ‖² or ‖J v‖²; ‖Y‖².
  struct Totals {
    double *squares = nullptr, *sums = nullptr, *output_sums = nullptr, *energy = nullptr,
           *target = nullptr;
  };
  void ReadTotals(const Totals& to);

 private:
  struct Slot {
    Slot(const CudaDevice& gpu, const FfnBodyShape& shape);
    PinnedArray<float> inputs_in, targets_in;
    CudaArray<float> inputs, targets;
  };

  void Stage(size_t slot, const DevicePage& page) override;
  void Upload(size_t slot, const DevicePage& page) override;
  void Forward(size_t slot, const DevicePage& page) override;
  void Sum(size_t slot, const DevicePage& page) override;

  float* Slopes(size_t part) const { return slopes_.data() + part * shape_.flight * map_.width; }
  void MultiplyAdd(size_t count, const float* a, const float* b, float beta, float* to) const;
  void SumGradients(const Slot& slot, size_t rows, double* sums) const;
  void SumHidden(size_t rows, double* sums) const;

  const CudaDevice& gpu_;
  Context& context_;
  const FfnMap& map_;
  const FfnTokens& tokens_;
  const FfnBodyShape shape_;
  const FfnPass pass_;
  const size_t parts_;
  const cuda::Precision forward_, gram_precision_;
  Slot slots_[kSlots];
  std::array<DeviceMap, 2> in_, change_;
  DeviceMap down_;
  // [flight, width]: slopes, or what they were before, a part after the other; hidden activations
  // or what is pulled back to them; one part of that or of a change. [flight, outputs]: what is
  // missed, or moved.
  CudaArray<float> slopes_, hidden_, part_, output_;
  SegmentSumsOnDevice sums_;
  const StreamClock clock_;
  size_t row_ = 0, count_ = 0;  // of the way at hand
  bool last_ = true;
  WeightLoader loader_;
  PageRunner runner_;
};

}  // namespace struprune
