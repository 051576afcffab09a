// Passes of an FFN's least squares on the device (passes/ffn_pass.h): weights once, pages of tokens
// streamed, rows of the sums by bands of channels.
#pragma once

#include <array>
#include <deque>

#include "cuda/linear_map.h"
#include "cuda/streams.h"

namespace struprune::cuda {

class FfnRunner {
 public:
  FfnRunner(Device& device, const FfnSpec& spec, const float* bias);
  ~FfnRunner();
  FfnRunner(const FfnRunner&) = delete;
  FfnRunner& operator=(const FfnRunner&) = delete;

  WeightRows StageWeight() { return stage_.Next(); }
  void Load(FfnWeight weight, int64_t row, int64_t count);
  void Begin(int64_t row, int64_t count, bool last);
  FfnTokenPage Stage();
  void Push(int64_t rows);
  void ReadRows(FfnRows which, int64_t first, int64_t count, double* rows);
  void ReadSums(const FfnSums& to);

 private:
  struct Slot {
    Slot(Device& device, const FfnSpec& spec);
    Pinned<float> inputs_in, targets_in;
    Array<float> inputs, targets;
    Event pushed{cudaEventDefault}, uploaded{cudaEventDefault}, started{cudaEventDefault},
        activated{cudaEventDefault}, computed{cudaEventDefault};
    int64_t rows = 0;
  };
  // Where the rows of a sum are, how many of them, and how wide; `diagonal`: the column of the
  // diagonal in the first row, where what is right of it holds anything.
  struct Rows {
    const Array<double>* sums;
    int64_t count, width;
    int64_t diagonal = -1;
  };

  float* Slopes(size_t part) const {
    return slopes_.data() + static_cast<int64_t>(part) * spec_.flight * spec_.width;
  }
  void Wait();
  void Activations(const Slot& slot);
  void Outputs(const Slot& slot);
  void AddSums(const Slot& slot);
  void AddGradients(const Slot& slot);
  Rows RowsOf(FfnRows which) const;

  Device& device_;
  const FfnSpec spec_;
  const size_t parts_;
  std::array<LinearMap, 2> in_, change_;
  LinearMap down_;
  // [flight, width]: slopes, or what they were before, a part after the other; hidden activations
  // or what is pulled back to them; one part of that or of a change. [flight, outputs]: what is
  // missed, or moved.
  Array<float> slopes_, hidden_, part_, output_;
  std::array<Array<double>, 2> gradients_, curvatures_;  // bands
  Array<double> gram_, cross_, squares_, sums_, output_sums_, energy_, target_;
  Slot slots_[kSlots];
  WeightStage stage_;
  Clock clock_;
  struct {
    int64_t row = 0, count = 0;
    bool last = true;
  } pass_;
  std::deque<int> waiting_;
  int next_ = 0;
};

RunnerBytes BytesOf(const Device& device, const FfnSpec& spec);

// Throws ERR_ARGUMENT for shapes that cannot be meant.
void CheckSpec(const FfnSpec& spec);

}  // namespace struprune::cuda
