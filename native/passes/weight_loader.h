// Weights on their way to a GPU, a few rows at a time by way of pinned memory.
#pragma once

#include "core/context.h"
#include "core/paged_matrix.h"
#include "passes/page_runner.h"

namespace struprune {

class WeightLoader : private PageBody {
 public:
  // Floats of a piece for matrices of which the largest has `most` floats and the longest row
  // `columns`.
  static size_t Floats(size_t most, size_t columns);
  static uint64_t PinnedBytes(size_t floats) { return kSlots * ArrayBytes<float>(floats); }

  WeightLoader(const CudaDevice& gpu, Context& context, size_t floats);
  // Sets off all rows of the weight; Wait before the map is used by others than the compute stream.
  void Load(PagedMatrix& weight, const DeviceMap& map);
  void Wait() { runner_.Drain(); }

 private:
  void Stage(size_t slot, const DevicePage& page) override;
  // A map is loaded by the compute stream.
  cuda::Queue In() const override { return cuda::Queue::kCompute; }
  void Upload(size_t slot, const DevicePage& page) override;

  const CudaDevice& gpu_;
  Context& context_;
  const size_t floats_;
  PagedMatrix* weight_ = nullptr;
  const DeviceMap* map_ = nullptr;
  const PinnedArray<float> pieces_[kSlots];
  PageRunner runner_;
};

}  // namespace struprune
