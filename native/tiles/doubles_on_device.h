// Linear algebra of tiled matrices in doubles on a GPU that is fast at it: as a whole or not at
// all, where it does not fit or is not worth the copies. The same results but for the order of
// sums.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "backend/cuda_library.h"
#include "tiles/factor.h"

namespace struprune {

// The first five do the work of tiles/multiply.h and tiles/cholesky.h and return true, or nothing
// and return false: then the CPU does it.
bool MultiplyOnDevice(double alpha, const Factor& a, const Factor& b, double beta,
                      TileMatrix<double>& c);
// *positive: whether A could be factored; else A is as it was.
bool FactorOnDevice(TileMatrix<double>& a, bool* positive);
bool SolveOnDevice(const TileMatrix<double>& lower, bool forward, TileMatrix<double>& x);
// inverse <- inv(L Lᵀ)
bool InvertOnDevice(const TileMatrix<double>& lower, TileMatrix<double>& inverse);

// Of all of these and a sweep on matrices of so many rows and columns, where the GPU has any of it.
Needs DoublesNeedsOnDevice(const Context& context, size_t columns, size_t rows);

// P and Q of a sweep (solver/sweep_columns.cpp, sweep_blocks.cpp), which stay on the GPU while it
// runs.
class SweepOnDevice {
 public:
  // Uploads both [m, m]; empty where they do not fit or `removals` are not worth it. `batch`: most
  // removals of one Subtract.
  static std::optional<SweepOnDevice> Make(const TileMatrix<double>& p, const TileMatrix<double>& q,
                                           size_t batch, size_t removals);

  // Rows [row, row + count) of both, [count, m] each.
  void Rows(size_t row, size_t count, double* p, double* q) const;
  // P −= AᵀA, Q −= UᵀA + AᵀU for a and u[count, m].
  void Subtract(size_t count, const double* a, const double* u);
  // [m] each.
  void Diagonals(double* p, double* q) const;
  // Keeps those rows and columns, ascending.
  void Compact(std::span<const int32_t> places);

 private:
  SweepOnDevice(const CudaDevice& gpu, size_t m, size_t batch);

  const CudaDevice* gpu_;
  size_t m_;
  CudaArray<double> p_, q_, a_, u_, diagonal_;
};

}  // namespace struprune
