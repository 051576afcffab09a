// One site of a block (attention or FFN) on the device: weights once, pages of tokens streamed.
#pragma once

#include <array>
#include <deque>

#include "cuda/linear_map.h"
#include "cuda/streams.h"

namespace struprune::cuda {

// Pinned and device memory of one page, and how far it has come: its copy in, the forward pass to
// the input of the output map, the sums, the rest of the forward pass, its copy out.
struct Slot {
  Slot(Device& device, const SiteSpec& spec);

  Pinned<float> in, before, after, out, x_out, inputs_out, targets_out;
  Pinned<int32_t> finite_out;
  Array<float> hidden, dense_before, dense_after;
  // Only where they go back to the host: else pages share the runner's.
  Array<float> x, inputs, targets;
  Array<int32_t> finite;
  Event pushed{cudaEventDefault}, uploaded{cudaEventDefault}, started{cudaEventDefault},
      activated{cudaEventDefault}, summed{cudaEventDefault}, computed{cudaEventDefault},
      leaving{cudaEventDefault}, downloaded{cudaEventDefault};
  int64_t rows = 0;
};

inline constexpr size_t kSiteMaps = std::extent_v<decltype(SiteVectors::biases)>;

class SiteRunner {
 public:
  SiteRunner(Device& device, const SiteSpec& spec, const SiteVectors& vectors);
  ~SiteRunner();
  SiteRunner(const SiteRunner&) = delete;
  SiteRunner& operator=(const SiteRunner&) = delete;

  WeightRows StageWeight() { return stage_.Next(); }
  void Load(SiteMap which, int64_t row, int64_t count);

  // One way of all tokens through the site: rows of the Gram, and whether all else is done too.
  struct Pass {
    int64_t row = 0, count = 0;
    bool last = true;
  };
  void Begin(const Pass& pass);
  SitePage Stage();
  void Push(int64_t rows);
  SiteResult Pop();
  void ReadGram(int64_t first, int64_t count, double* gram);
  void ReadCross(int64_t first, int64_t count, double* cross);
  void ReadMoments(double* squares, double* sums, double* residual_sums, double* energy);

 private:
  struct Weights {
    Array<float> norm, norm_bias, q_norm, k_norm, out_norm, out_norm_bias, cosine, sine;
    std::array<LinearMap, kSiteMaps> maps;
  };
  // Of RᵀX that the pass sums, from pass_.row on.
  int64_t Columns() const { return spec_.gram_rows > 0 ? pass_.count : spec_.width; }
  const LinearMap& Map(SiteMap which) const { return weights_.maps[static_cast<size_t>(which)]; }
  float* X(const Slot& slot) const { return spec_.keep ? slot.x.data() : x_.data(); }
  Array<float> Load(const float* from, int64_t count);
  void Compute(Slot& slot);
  void RunAttention(int64_t rows, const float* in, float* x);
  void RunFfn(int64_t rows, const float* in, float* x);
  void Residual(Slot& slot);
  void Targets(Slot& slot);
  void Statistics(Slot& slot);
  void NormInto(int64_t rows, const float* from, const Array<float>& weight,
                const Array<float>& bias, float* to);
  void AddOutput(Slot& slot);

  Device& device_;
  const SiteSpec spec_;
  Weights weights_;
  Array<float> x_, normed_, q_, k_, v_, gate_, residual_;
  Array<double> gram_, squares_, sums_, cross_, residual_sums_, energy_;
  Slot slots_[kSlots];
  WeightStage stage_;
  Clock clock_;
  Pass pass_;
  std::deque<int> waiting_;
  int next_ = 0;
};

RunnerBytes BytesOf(const Device& device, const SiteSpec& spec);

// Throws ERR_ARGUMENT for shapes that cannot be meant.
void CheckSpec(const SiteSpec& spec);

}  // namespace struprune::cuda
