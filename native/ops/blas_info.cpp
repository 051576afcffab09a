#include <cstddef>

#include "ops/blas.h"
#include "ops/gemm.h"

namespace struprune {

#if defined(STRUPRUNE_BLAS_SCIPY)
std::string BlasDescription() {
  return std::string(scipy_openblas_get_config()) + ", kernel " + scipy_openblas_get_corename();
}
void InitialiseBlas() { scipy_openblas_set_num_threads(1); }
#elif defined(STRUPRUNE_BLAS_OPENBLAS)
std::string BlasDescription() {
  return std::string(openblas_get_config()) + ", kernel " + openblas_get_corename();
}
void InitialiseBlas() { openblas_set_num_threads(1); }
#elif defined(STRUPRUNE_BLAS_MKL)
std::string BlasDescription() { return "MKL, sequential"; }
void InitialiseBlas() {}
#else
std::string BlasDescription() { return "system BLAS"; }
void InitialiseBlas() {}
#endif

}  // namespace struprune
