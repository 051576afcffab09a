// The one place that knows which BLAS was built in. STRUPRUNE_BLAS(f) and STRUPRUNE_LAPACK(f) give
// the linker name: scipy's OpenBLAS wheel prefixes its symbols, the system's and MKL's do not.
#pragma once

#include <cstddef>

#ifdef STRUPRUNE_BLAS_MKL
#include <mkl_cblas.h>
using blasint = MKL_INT;
#elif defined(STRUPRUNE_BLAS_ACCELERATE)
#include "ops/accelerate.h"
#else
#include <cblas.h>
#ifdef STRUPRUNE_BLAS_NETLIB
using blasint = int;
#endif
#endif

#ifdef STRUPRUNE_BLAS_SCIPY
#define STRUPRUNE_BLAS(name) scipy_##name
#define STRUPRUNE_LAPACK(name) scipy_##name##_
#elif defined(STRUPRUNE_BLAS_ACCELERATE)
#define STRUPRUNE_BLAS(name) (struprune::OneBlasThread(), ::name)
#define STRUPRUNE_LAPACK(name) name##_
#else
#define STRUPRUNE_BLAS(name) name
#define STRUPRUNE_LAPACK(name) name##_
#endif

using lapack_int = blasint;

inline blasint BlasInt(size_t value) { return static_cast<blasint>(value); }

extern "C" {
void STRUPRUNE_LAPACK(dpotrf)(const char* uplo, const lapack_int* n, double* a,
                              const lapack_int* lda, lapack_int* info, size_t uplo_length);
void STRUPRUNE_LAPACK(dpotri)(const char* uplo, const lapack_int* n, double* a,
                              const lapack_int* lda, lapack_int* info, size_t uplo_length);
#if defined(STRUPRUNE_BLAS_SCIPY)
void scipy_openblas_set_num_threads(int threads);
char* scipy_openblas_get_config(void);
char* scipy_openblas_get_corename(void);
#elif defined(STRUPRUNE_BLAS_OPENBLAS)
void openblas_set_num_threads(int threads);
char* openblas_get_config(void);
char* openblas_get_corename(void);
#endif
}
