#include "passes/weight_loader.h"

#include <algorithm>

#include "backend/host_pages.h"

namespace struprune {
namespace {

// Of which a copy takes far longer than to set it off.
constexpr size_t kPieceFloats = size_t{1} << 20;

}  // namespace

size_t WeightLoader::Floats(size_t most, size_t columns) {
  return std::max(columns, std::min(most, kPieceFloats));
}

WeightLoader::WeightLoader(const CudaDevice& gpu, Context& context, size_t floats)
    : gpu_(gpu),
      context_(context),
      floats_(floats),
      pieces_{{gpu, floats}, {gpu, floats}},
      runner_(gpu, *this) {}

void WeightLoader::Load(PagedMatrix& weight, const DeviceMap& map) {
  weight_ = &weight, map_ = &map;
  const size_t most = floats_ / weight.cols();
  for (size_t row = 0, count = 0; row < weight.rows(); row += count) {
    context_.CheckAbort();
    count = weight.Run(row, std::min(most, weight.rows() - row));
    runner_.Push({row, count});
  }
}

void WeightLoader::Stage(size_t slot, const DevicePage& page) {
  const PagedMatrix::View view(*weight_, page.row, page.rows, PagedMatrix::Access::kRead);
  CopyPage(gpu_, context_, view.data(), pieces_[slot].data(), page.rows * weight_->cols());
}

void WeightLoader::Upload(size_t slot, const DevicePage& page) {
  map_->Load(page.row, page.rows, pieces_[slot].data());
}

}  // namespace struprune
