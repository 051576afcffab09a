#include "device/doubles.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "tiles/run_tiles.h"

namespace struprune {
namespace {

// Rows [row, row + count) of a tiled matrix, `stage` [count, cols] beside them.
struct Piece {
  size_t tile, row, count;
};

// visit(piece, stage) over all rows of a matrix, a few of one row of tiles at a time.
template <typename Visit>
void EachPiece(const TileMatrix<double>& matrix, Visit visit) {
  const TileAxis& rows = matrix.rows();
  const size_t cols = matrix.cols().size();
  const size_t most = std::max<size_t>(1, kDoublesStage / sizeof(double) / cols);
  auto stage = matrix.context().Allocate<double>(std::min(most, rows.side()) * cols);
  for (size_t tile = 0; tile < rows.tiles(); ++tile) {
    for (size_t row = 0; row < rows.count(tile); row += most) {
      visit(Piece{tile, row, std::min(most, rows.count(tile) - row)}, stage.data());
    }
  }
}

void ReadPiece(const TileMatrix<double>& matrix, const Piece& piece, double* to) {
  const TileAxis& columns = matrix.cols();
  const size_t cols = columns.size();
  const auto tiles_of = [&](size_t j) {
    return matrix.Has(piece.tile, j) ? std::pair{piece.tile, j} : std::pair{j, piece.tile};
  };
  const auto is_zero = [&](size_t j) {
    return matrix.shape() == Shape::kLower && !matrix.Has(piece.tile, j);
  };
  RunTiles(
      matrix.space(), columns.tiles(),
      [&](size_t j, Visits& visits) {
        const auto [row, col] = tiles_of(j);
        if (!is_zero(j)) visits.push_back(matrix.At(row, col));
      },
      [&](size_t j, size_t) {
        double* corner = to + columns.begin(j);
        if (is_zero(j)) {
          for (size_t r = 0; r < piece.count; ++r) {
            std::fill_n(corner + r * cols, columns.count(j), 0.0);
          }
          return;
        }
        const auto [row, col] = tiles_of(j);
        const auto tile = matrix.Read(row, col);
        if (row == piece.tile) {
          for (size_t r = 0; r < piece.count; ++r) {
            std::copy_n(tile.row(piece.row + r), columns.count(j), corner + r * cols);
          }
          return;
        }
        for (size_t c = 0; c < columns.count(j); ++c) {
          const double* from = tile.row(c) + piece.row;
          for (size_t r = 0; r < piece.count; ++r) corner[r * cols + c] = from[r];
        }
      });
}

// The tiles that the matrix has; `lower`: zeros above the diagonal.
void WritePiece(const Piece& piece, const double* from, bool lower, TileMatrix<double>& matrix) {
  const TileAxis& columns = matrix.cols();
  const size_t cols = columns.size();
  size_t count = 0;
  while (count < columns.tiles() && matrix.Has(piece.tile, count)) ++count;
  RunTiles(
      matrix.space(), count,
      [&](size_t j, Visits& visits) { visits.push_back(matrix.At(piece.tile, j)); },
      [&](size_t j, size_t) {
        const auto tile = matrix.Update(piece.tile, j);
        for (size_t r = 0; r < piece.count; ++r) {
          double* to = tile.row(piece.row + r);
          std::copy_n(from + r * cols + columns.begin(j), tile.cols, to);
          if (lower && j == piece.tile) {
            std::fill(to + std::min(tile.cols, piece.row + r + 1), to + tile.cols, 0.0);
          }
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
    EachPiece(from, [&](const Piece& piece, double* stage) {
      ReadPiece(from, piece, stage);
      const size_t row = from.rows().begin(piece.tile) + piece.row;
      gpu.Call(&cuda::Api::upload, to + row * cols, stage,
               Int(piece.count * cols * sizeof(double)));
    });
  }
  void Download(TileMatrix<double>& to, bool lower = false) const {
    EachPiece(to, [&](const Piece& piece, double* stage) {
      const size_t row = to.rows().begin(piece.tile) + piece.row;
      gpu_.Call(&cuda::Api::download, stage, values_.data() + row * cols_,
                Int(piece.count * cols_ * sizeof(double)));
      WritePiece(piece, stage, lower, to);
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

// The GPU where it should do so many flops on so many bytes.
const CudaDevice* DeviceFor(const Context& context, double flops, uint64_t bytes) {
  const CudaDevice* gpu = context.gpu.get();
  if (!gpu || !gpu->fast_doubles() || flops < gpu->options().least_flops) return nullptr;
  const cuda::MemoryReport memory = gpu->memory();
  // Every array ends at whole units of the slab.
  constexpr uint64_t kRounding = 4096;
  return bytes + kRounding <= memory.limit - memory.used ? gpu : nullptr;
}

// Counts its own life as the GPU's algebra.
class AlgebraClock {
 public:
  explicit AlgebraClock(const CudaDevice& gpu) : gpu_(gpu) {}
  ~AlgebraClock() {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
    gpu_.AddAlgebraSeconds(seconds.count());
  }
  AlgebraClock(const AlgebraClock&) = delete;
  AlgebraClock& operator=(const AlgebraClock&) = delete;

 private:
  const CudaDevice& gpu_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

double Cube(size_t a, size_t b, size_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

}  // namespace

bool MultiplyOnDevice(double alpha, const Factor& a, const Factor& b, double beta,
                      TileMatrix<double>& c) {
  if (a.folded || b.folded) return false;
  const size_t m = c.rows().size(), n = c.cols().size();
  const size_t k = a.trans == Trans::kYes ? a.matrix.rows().size() : a.matrix.cols().size();
  const bool same = &a.matrix == &b.matrix;
  const uint64_t bytes = BytesOf(a.matrix) + (same ? 0 : BytesOf(b.matrix)) + BytesOf(c);
  const CudaDevice* gpu = DeviceFor(c.context(), 2 * Cube(m, n, k), bytes);
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
  const size_t n = a.rows().size();
  const CudaDevice* gpu = DeviceFor(a.context(), Cube(n, n, n) / 3, BytesOf(a));
  if (!gpu) return false;
  const AlgebraClock clock(*gpu);
  DeviceMatrix factor(*gpu, a);
  factor.Upload(a);
  int32_t status = 0;
  try {
    gpu->Call(&cuda::Api::cholesky, Int(n), factor.data(), factor.cols(), &status);
  } catch (const Error& error) {
    // cuSOLVER wants work space, how much of it only it knows.
    if (error.code() != "ERR_BUDGET") throw;
    return false;
  }
  *positive = status != 0;
  if (!*positive) return true;
  factor.Download(a, true);
  a.set_shape(Shape::kLower);
  return true;
}

bool SolveOnDevice(const TileMatrix<double>& lower, bool forward, TileMatrix<double>& x) {
  const size_t m = x.rows().size(), n = x.cols().size();
  const CudaDevice* gpu = DeviceFor(x.context(), Cube(m, n, n), BytesOf(lower) + BytesOf(x));
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

std::optional<SweepOnDevice> SweepOnDevice::Make(const TileMatrix<double>& p,
                                                 const TileMatrix<double>& q, size_t batch,
                                                 size_t removals) {
  const size_t m = p.rows().size();
  // Those of a batch, a diagonal, places, and the rows on their way where it is compacted.
  const uint64_t factors = sizeof(double) * (2 * batch + 2 + cuda::kCompactRows) * m;
  const CudaDevice* gpu =
      DeviceFor(p.context(), 6 * Cube(m, m, removals), BytesOf(p) + BytesOf(q) + factors);
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

void SweepOnDevice::Row(size_t j, double* p, double* q) const {
  const AlgebraClock clock(*gpu_);
  gpu_->Call(&cuda::Api::download, p, p_.data() + j * m_, Int(m_ * sizeof(double)));
  gpu_->Call(&cuda::Api::download, q, q_.data() + j * m_, Int(m_ * sizeof(double)));
}

void SweepOnDevice::Subtract(size_t count, const double* a, const double* u) {
  const AlgebraClock clock(*gpu_);
  const int64_t bytes = Int(count * m_ * sizeof(double)), m = Int(m_);
  gpu_->Call(&cuda::Api::upload, a_.data(), a, bytes);
  gpu_->Call(&cuda::Api::upload, u_.data(), u, bytes);
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
    gpu_->Call(&cuda::Api::download, to, diagonal_.data(), Int(m_ * sizeof(double)));
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
