#include "tiles/doubles_on_device.h"

#include <algorithm>
#include <vector>

#include "backend/host_pages.h"
#include "tiles/run_tiles.h"

namespace struprune {
namespace {

// Doubles of a row of tiles, of so many rows.
size_t StageCount(size_t rows, size_t cols) { return rows * cols; }

// visit(tile, rows) over the rows of tiles of a matrix, with pinned room for the rows of one as
// they are in a plain matrix.
template <typename Visit>
void EachRowOfTiles(const CudaDevice& gpu, const TileMatrix<double>& matrix, Visit visit) {
  const TileAxis& rows = matrix.rows();
  const PinnedRows stage(gpu, matrix.context().budget,
                         StageCount(rows.side(), matrix.cols().size()));
  for (size_t tile = 0; tile < rows.tiles(); ++tile) visit(tile, stage.data());
}

void ReadRowOfTiles(const TileMatrix<double>& matrix, size_t i, double* to) {
  const TileAxis& columns = matrix.cols();
  const size_t cols = columns.size(), rows = matrix.rows().count(i);
  const auto is_zero = [&](size_t j) {
    return matrix.shape() == Shape::kLower && !matrix.Has(i, j);
  };
  RunTiles(
      matrix.space(), columns.tiles(),
      [&](size_t j, Visits& visits) {
        if (!is_zero(j)) visits.push_back(matrix.Has(i, j) ? matrix.At(i, j) : matrix.At(j, i));
      },
      [&](size_t j, size_t) {
        double* const corner = to + columns.begin(j);
        if (is_zero(j)) {
          for (size_t r = 0; r < rows; ++r) std::fill_n(corner + r * cols, columns.count(j), 0.0);
        } else if (matrix.Has(i, j)) {
          const auto tile = matrix.Read(i, j);
          for (size_t r = 0; r < rows; ++r) std::copy_n(tile.row(r), tile.cols, corner + r * cols);
        } else {
          const auto mirrored = matrix.Read(j, i);
          for (size_t c = 0; c < mirrored.rows; ++c) {
            for (size_t r = 0; r < rows; ++r) corner[r * cols + c] = mirrored.row(c)[r];
          }
        }
      });
}

// The tiles that the matrix has; `lower`: zeros above the diagonal.
void WriteRowOfTiles(size_t i, const double* from, bool lower, TileMatrix<double>& matrix) {
  const TileAxis& columns = matrix.cols();
  const size_t cols = columns.size();
  size_t count = 0;
  while (count < columns.tiles() && matrix.Has(i, count)) ++count;
  RunTiles(
      matrix.space(), count, [&](size_t j, Visits& visits) { visits.push_back(matrix.At(i, j)); },
      [&](size_t j, size_t) {
        const auto tile = matrix.Write(i, j);
        for (size_t r = 0; r < tile.rows; ++r) {
          std::copy_n(from + r * cols + columns.begin(j), tile.cols, tile.row(r));
          if (lower && j == i) std::fill(tile.row(r) + r + 1, tile.row(r) + tile.cols, 0.0);
        }
      });
}

uint64_t BytesOf(const TileMatrix<double>& matrix) {
  return sizeof(double) * matrix.rows().size() * matrix.cols().size();
}

// A dense copy of a tiled matrix on the GPU.
class DeviceMatrix {
 public:
  DeviceMatrix(const CudaDevice& gpu, const TileMatrix<double>& shape)
      : gpu_(gpu),
        rows_(shape.rows().size()),
        cols_(shape.cols().size()),
        values_(gpu, rows_ * cols_) {}

  void Upload(const TileMatrix<double>& from) { UploadTo(gpu_, from, values_.data()); }
  static void UploadTo(const CudaDevice& gpu, const TileMatrix<double>& from, double* to) {
    const size_t cols = from.cols().size();
    EachRowOfTiles(gpu, from, [&](size_t tile, double* stage) {
      ReadRowOfTiles(from, tile, stage);
      gpu.Upload(to + from.rows().begin(tile) * cols, stage,
                 from.rows().count(tile) * cols * sizeof(double));
    });
  }
  void Download(TileMatrix<double>& to, bool lower = false) const {
    EachRowOfTiles(gpu_, to, [&](size_t tile, double* stage) {
      gpu_.Download(stage, values_.data() + to.rows().begin(tile) * cols_,
                    to.rows().count(tile) * cols_ * sizeof(double));
      WriteRowOfTiles(tile, stage, lower, to);
    });
  }

  int64_t rows() const { return Int(rows_); }
  int64_t cols() const { return Int(cols_); }
  double* data() const { return values_.data(); }

 private:
  const CudaDevice& gpu_;
  const size_t rows_, cols_;
  CudaArray<double> values_;
};

// What a piece of linear algebra takes.
struct Piece {
  double flops;
  uint64_t copied;  // bytes there and back
  uint64_t held;    // bytes of the GPU's memory
};

// The GPU where it should do it: a function of the shapes, the GPU and its limit.
const CudaDevice* DeviceFor(const Context& context, const Piece& piece) {
  const CudaDevice* gpu = context.gpu.get();
  if (!gpu || !gpu->fast_doubles()) return nullptr;
  const CudaOptions& options = gpu->options();
  const bool worth = piece.flops >= options.least_flops &&
                     piece.flops >= options.least_intensity * static_cast<double>(piece.copied);
  if (!worth) return nullptr;
  const cuda::MemoryReport memory = gpu->memory();
  // Every array ends at whole units of the slab.
  constexpr uint64_t kRounding = 4096;
  return piece.held + kRounding <= memory.limit - memory.used ? gpu : nullptr;
}

using AlgebraClock = LifeClock<&CudaDevice::AddAlgebraSeconds>;

double Cube(size_t a, size_t b, size_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

}  // namespace

Needs DoublesNeedsOnDevice(const Context& context, size_t columns, size_t rows) {
  const CudaDevice* gpu = context.gpu.get();
  if (!gpu || !gpu->fast_doubles()) return {};
  const size_t side = std::max(columns, rows);
  // A sweep to the end, or a product on either side of the map.
  if (6 * Cube(side, side, side) < gpu->options().least_flops) return {};
  // Two factors of a product, and the product; or a sweep's P and Q with its factors, of half of
  // the columns at most.
  const uint64_t most =
      sizeof(double) * (3 * uint64_t{side} * side + (2 + cuda::kCompactRows) * side);
  const cuda::MemoryReport memory = gpu->memory();
  Needs needs = HeldDoubles(StageCount(std::min(side, kTileSide), side));
  needs.device = std::min<uint64_t>(memory.limit, memory.used + most);
  return needs;
}

bool MultiplyOnDevice(double alpha, const Factor& a, const Factor& b, double beta,
                      TileMatrix<double>& c) {
  if (a.folded || b.folded) return false;
  const size_t m = c.rows().size(), n = c.cols().size();
  const size_t k = a.trans == Trans::kYes ? a.matrix.rows().size() : a.matrix.cols().size();
  const bool same = &a.matrix == &b.matrix;
  const uint64_t bytes = BytesOf(a.matrix) + (same ? 0 : BytesOf(b.matrix)) + BytesOf(c);
  const uint64_t again = beta != 0 ? BytesOf(c) : 0;
  const CudaDevice* gpu = DeviceFor(c.context(), {2 * Cube(m, n, k), bytes + again, bytes});
  if (!gpu) return false;
  const AlgebraClock clock(*gpu);
  DeviceMatrix left(*gpu, a.matrix), product(*gpu, c);
  std::optional<DeviceMatrix> other;
  left.Upload(a.matrix);
  if (!same) other.emplace(*gpu, b.matrix).Upload(b.matrix);
  if (beta != 0) product.Upload(c);
  const DeviceMatrix& right = same ? left : *other;
  gpu->Call(&cuda::Api::gemm_f64, a.trans == Trans::kYes, b.trans == Trans::kYes, Int(m), Int(n),
            Int(k), alpha, left.data(), left.cols(), right.data(), right.cols(), beta,
            product.data(), product.cols());
  product.Download(c, c.shape() == Shape::kLower);
  return true;
}

bool FactorOnDevice(TileMatrix<double>& a, bool* positive) {
  // From there on cuSOLVER's call, whose sizes have 32 bits, has not been tried.
  constexpr size_t kMost = 46'340;
  const size_t n = a.rows().size();
  Piece piece{Cube(n, n, n) / 3, 2 * BytesOf(a), BytesOf(a)};
  const CudaDevice* gpu = n > kMost ? nullptr : DeviceFor(a.context(), piece);
  if (!gpu) return false;
  uint64_t work = 0;
  gpu->Call(&cuda::Api::cholesky_bytes, Int(n), &work);
  piece.held += work;
  if (!DeviceFor(a.context(), piece)) return false;
  const AlgebraClock clock(*gpu);
  DeviceMatrix factor(*gpu, a);
  factor.Upload(a);
  int32_t status = 0;
  gpu->Call(&cuda::Api::cholesky, Int(n), factor.data(), factor.cols(), &status);
  *positive = status != 0;
  if (!*positive) return true;
  factor.Download(a, true);
  a.set_shape(Shape::kLower);
  return true;
}

bool SolveOnDevice(const TileMatrix<double>& lower, bool forward, TileMatrix<double>& x) {
  const size_t m = x.rows().size(), n = x.cols().size();
  const uint64_t bytes = BytesOf(lower) + BytesOf(x);
  const CudaDevice* gpu = DeviceFor(x.context(), {Cube(m, n, n), bytes + BytesOf(x), bytes});
  if (!gpu) return false;
  const AlgebraClock clock(*gpu);
  DeviceMatrix factor(*gpu, lower), solved(*gpu, x);
  factor.Upload(lower);
  solved.Upload(x);
  gpu->Call(&cuda::Api::solve_lower, forward, Int(n), factor.data(), factor.cols(), Int(m),
            solved.data(), solved.cols());
  solved.Download(x, x.shape() == Shape::kLower);
  return true;
}

bool InvertOnDevice(const TileMatrix<double>& lower, TileMatrix<double>& inverse) {
  const size_t n = lower.rows().size();
  const uint64_t bytes = 2 * BytesOf(lower);
  const CudaDevice* gpu = DeviceFor(lower.context(), {3 * Cube(n, n, n), bytes, bytes});
  if (!gpu) return false;
  const AlgebraClock clock(*gpu);
  DeviceMatrix factor(*gpu, lower);
  const CudaArray<double> root(*gpu, n * n);
  factor.Upload(lower);
  gpu->Call(&cuda::Api::invert_factored, Int(n), factor.data(), root.data());
  factor.Download(inverse);
  return true;
}

std::optional<SweepOnDevice> SweepOnDevice::Make(const TileMatrix<double>& p,
                                                 const TileMatrix<double>& q, size_t batch,
                                                 size_t removals) {
  const size_t m = p.rows().size();
  // Those of a batch, a diagonal, places, and the rows on their way where it is compacted.
  const uint64_t factors = sizeof(double) * (2 * batch + 2 + cuda::kCompactRows) * m;
  const uint64_t bytes = BytesOf(p) + BytesOf(q);
  const CudaDevice* gpu =
      DeviceFor(p.context(), {6 * Cube(m, m, removals), bytes, bytes + factors});
  if (!gpu) return std::nullopt;
  const AlgebraClock clock(*gpu);
  SweepOnDevice sweep(*gpu, m, batch);
  DeviceMatrix::UploadTo(*gpu, p, sweep.p_.data());
  DeviceMatrix::UploadTo(*gpu, q, sweep.q_.data());
  return sweep;
}

SweepOnDevice::SweepOnDevice(const CudaDevice& gpu, size_t m, size_t batch)
    : gpu_(&gpu),
      m_(m),
      p_(gpu, m * m),
      q_(gpu, m * m),
      a_(gpu, batch * m),
      u_(gpu, batch * m),
      diagonal_(gpu, m) {}

void SweepOnDevice::Rows(size_t row, size_t count, double* p, double* q) const {
  const AlgebraClock clock(*gpu_);
  const size_t bytes = count * m_ * sizeof(double);
  gpu_->Download(p, p_.data() + row * m_, bytes);
  gpu_->Download(q, q_.data() + row * m_, bytes);
}

void SweepOnDevice::Subtract(size_t count, const double* a, const double* u) {
  const AlgebraClock clock(*gpu_);
  const size_t bytes = count * m_ * sizeof(double);
  const int64_t m = Int(m_);
  gpu_->Upload(a_.data(), a, bytes);
  gpu_->Upload(u_.data(), u, bytes);
  const auto subtract = [&](const CudaArray<double>& rows, const CudaArray<double>& columns,
                            const CudaArray<double>& to) {
    gpu_->Call(&cuda::Api::gemm_f64, true, false, m, m, Int(count), -1, rows.data(), m,
               columns.data(), m, 1, to.data(), m);
  };
  subtract(a_, a_, p_);
  subtract(u_, a_, q_);
  subtract(a_, u_, q_);
}

void SweepOnDevice::Diagonals(double* p, double* q) const {
  const AlgebraClock clock(*gpu_);
  for (const auto& [matrix, to] : {std::pair{&p_, p}, {&q_, q}}) {
    gpu_->Call(&cuda::Api::diagonal, Int(m_), matrix->data(), Int(m_), diagonal_.data());
    gpu_->Download(to, diagonal_.data(), m_ * sizeof(double));
  }
}

void SweepOnDevice::Compact(std::span<const int32_t> places) {
  const AlgebraClock clock(*gpu_);
  const CudaArray<int32_t> indices(*gpu_, places);
  for (const auto* matrix : {&p_, &q_}) {
    gpu_->Call(&cuda::Api::compact, Int(m_), Int(places.size()), indices.data(), matrix->data());
  }
  m_ = places.size();
}

}  // namespace struprune
