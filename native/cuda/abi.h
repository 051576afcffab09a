// The border between the CPU side (native/backend) and the CUDA library: plain types and one table
// of functions for memory, streams and the operations that passes are made of. The library is
// loaded with dlopen; its only symbol is struprune_cuda_api. No exception crosses: a function
// returns 0, or 1 with `failure` filled in.
//
// Pointers named in the table are device memory of that device unless a comment says "host".
// Matrices are row-major; a stride counts elements between rows; a count fits in int64_t.
#pragma once

#include <cstdint>

namespace struprune::cuda {

// Raised whenever anything below changes: a library of another number is refused.
inline constexpr uint32_t kAbiVersion = 15;
inline constexpr const char* kApiSymbol = "struprune_cuda_api";

struct Device;
class Event;
class LinearMap;

struct Failure {
  char code[32];
  char message[480];
  char mend[240];
};

// How fp32 products are computed. The bounds are on |error| / Σ|x||y| of one product, for the worst
// operands; after it the root of the mean square of one term, which over n terms at random falls
// with √n. Beside them come the fp32 sums: 2⁻²⁴ a term at most, or, where tensor cores truncate
// instead of rounding, 2⁻²³ for every few terms that they add at a time, to one side. Without
// cuBLAS every mode is kExact.
enum class Precision : int32_t {
  kExact,   // fp32 operands
  kTf32,    // operands of 11 bits on tensor cores: 2⁻¹⁰, typically 2⁻¹², where they are rounded;
            // 2⁻⁹ where the hardware truncates them
  kBf16x3,  // each operand as two bf16 parts, three products of them: 2⁻¹⁵, typically 2⁻¹⁸
  kBf16,    // operands rounded to 8 bits: 2⁻⁷, typically 2⁻⁹
};

// Rows of a page whose product gram_add and cross_add sum in fp32, and add to the doubles at once:
// as on the CPU (Statistics::TokenPage) where operands are exact. Rounded operands get longer
// pages, whose sums are still more exact than they are: every page costs a pass over the Gram's
// doubles, which takes as long as a thousand rows of tensor cores. Flights are longer only where a
// window is.
constexpr int64_t ProductRows(bool cublas, Precision precision) {
  return cublas && precision != Precision::kExact ? 4096 : 512;
}

enum class Norm : int32_t { kRms, kLayer };
enum class Gate : int32_t { kSilu, kRelu, kGelu, kGeluTanh };

// Work of a stream runs in order; beside that of the others, where no event is waited for.
enum class Queue : int32_t { kCopyIn, kCompute, kCopyOut };

struct DeviceInfo {
  char name[128];
  int32_t major, minor;  // compute capability
  int32_t multiprocessors;
  uint64_t total_bytes, free_bytes;
};

struct OpenOptions {
  int32_t index;
  // Bytes of device memory, library work space included; 0 = what is free less a tenth of it, less
  // 512 MiB where that is more, but half at least.
  uint64_t budget;
  const char* cublas;       // host: path of cuBLAS; null = the usual names
  const char* cusolver;     // host: path of cuSOLVER, opened when needed; null = the usual names
  int32_t allow_libraries;  // 0: built-in kernels alone
};

struct MemoryReport {
  uint64_t used, peak, limit;
};

// Arrays in device memory begin and end at multiples of so many bytes.
inline constexpr uint64_t kArrayUnit = 256;
inline constexpr int64_t kCompactRows = 64, kSumBlocks = 1024;

struct AttentionShape {
  int64_t window, heads, kv_heads, head_dim, sliding;  // sliding 0 = all
  float scale;
  float cap;  // of scaled scores, cap tanh(score / cap); 0: none
  // [heads] in device memory, null: none; exp(sink) joins the denominator of a query's softmax.
  const float* sinks;
};

// What is known of tokens while a vocabulary passes by, [tokens] each: the largest logit so far,
// the sum of exp(logit - it), the logit of the target (NaN without one), the first token with the
// largest; and by what sums weighted with earlier exponentials are to be multiplied.
struct TokenStates {
  float* top;
  double* sum;
  float* target_logit;
  int32_t* best;
  float* factor;
};

// One table a library; `size` guards against a header of another age.
struct Api {
  uint32_t version, size;
  // CUDA's version in it, 13000 for 13.0: drivers must know that major version or a newer one.
  int32_t runtime;
  const char* targets;  // architectures with code, such as "80 86 89 90 100 120 ptx120"

  // Host alone. `check` touches the device: context, kernel image, free memory.
  int (*check)(int32_t index, DeviceInfo* info, Failure*);
  int (*open)(const OpenOptions*, Device** device, Failure*);
  void (*close)(Device*);
  int (*memory)(Device*, Failure*, MemoryReport* report);
  // *waiting = bytes of pinned host memory that were given back and that wait for the next
  // one; `trim`: freed first.
  int (*pinned)(Device*, Failure*, int32_t trim, uint64_t* waiting);
  // Pinned host memory of the caller's, to be given back with its size: copies from and to it run
  // at the speed of the bus.
  int (*take_pinned)(Device*, Failure*, int64_t bytes, void** data);
  int (*give_pinned)(Device*, Failure*, void* data, int64_t bytes);
  // Name and where products come from; *blas = 1 where that is cuBLAS.
  int (*describe)(Device*, Failure*, char* text, int64_t size, int32_t* blas);
  // *fast = 1 where linear algebra in doubles belongs on this GPU: it has units for it, cuBLAS and
  // cuSOLVER. Fixed when it was opened.
  int (*fast_doubles)(Device*, Failure*, int32_t* fast);
  int (*allocate)(Device*, Failure*, int64_t bytes, void** data);
  int (*release)(Device*, Failure*, void* data);

  // Host: waits for all that a stream was given. Everything below that names no stream runs on
  // kCompute.
  int (*synchronise)(Device*, Failure*, Queue stream);
  // An event passes when its stream has done what it was given before. wait: what `stream` is given
  // next waits for it; reach: the host does. *seconds between two that have passed.
  int (*event_open)(Device*, Failure*, Event** event);
  int (*event_record)(Device*, Failure*, Event* event, Queue stream);
  int (*event_wait)(Device*, Failure*, Event* event, Queue stream);
  int (*event_reach)(Device*, Failure*, Event* event);
  int (*event_seconds)(Device*, Failure*, Event* from, Event* to, double* seconds);
  int (*event_close)(Device*, Failure*, Event* event);
  // The host's side stays as it is until the stream has done it.
  int (*copy_in)(Device*, Failure*, Queue stream, void* to, const void* from, int64_t bytes);
  int (*copy_out)(Device*, Failure*, Queue stream, void* to, const void* from, int64_t bytes);
  // The first `columns` cells of rows that are `stride` cells long on both sides.
  int (*copy_rows_out)(Device*, Failure*, int64_t rows, int64_t columns, int64_t stride, double* to,
                       const double* from);
  // Every byte of it.
  int (*fill)(Device*, Failure*, void* data, int32_t byte, int64_t bytes);

  // out[rows, cols] = norm(x) * weight (+ bias); in place is allowed.
  int (*norm)(Device*, Failure*, Norm kind, int64_t rows, int64_t cols, const float* x,
              int64_t x_stride, const float* weight, const float* bias, float eps, float* out,
              int64_t out_stride);
  // Half-split rotation of the first 2 half entries of every head of x[rows, heads * head_dim], in
  // place; row i at position (first + i) % window of cosine and sine [window, half].
  int (*rope)(Device*, Failure*, int64_t rows, int64_t heads, int64_t head_dim, int64_t half,
              const float* cosine, const float* sine, float* x, int64_t stride, int64_t first,
              int64_t window);
  // Causal attention; q and out[windows * window, heads * head_dim], k and v[.., kv_heads *
  // head_dim]. shape: host.
  int (*attention)(Device*, Failure*, const AttentionShape* shape, int64_t windows, const float* q,
                   const float* k, const float* v, float* out);
  // out = act(gate) * up, or act(up) without a gate; out may be either.
  int (*activate)(Device*, Failure*, Gate kind, int64_t count, const float* gate, const float* up,
                  float* out);
  // The same, after which gate and up hold the slopes of out by them.
  int (*activate_slopes)(Device*, Failure*, Gate kind, int64_t count, float* gate, float* up,
                         float* out);
  // to = a * b + beta to
  int (*multiply_add)(Device*, Failure*, int64_t count, const float* a, const float* b, float beta,
                      float* to);
  // to = alpha a + beta b
  int (*combine)(Device*, Failure*, int64_t count, float alpha, const float* a, float beta,
                 const float* b, float* to);
  // to += from
  int (*add_doubles)(Device*, Failure*, int64_t count, const double* from, double* to);
  // *finite <- 0 where a value is not finite; else it stays.
  int (*test_finite)(Device*, Failure*, int64_t count, const float* x, int32_t* finite);

  // C[m, n] = alpha op(A)[m, k] op(B)[k, n] + beta C
  int (*gemm_f32)(Device*, Failure*, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k,
                  float alpha, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
                  float* c, int64_t ldc, Precision precision);
  int (*gemm_f64)(Device*, Failure*, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k,
                  double alpha, const double* a, int64_t lda, const double* b, int64_t ldb,
                  double beta, double* c, int64_t ldc);
  // gram[count, dim] += rows [row, row + count) of XᵀX for x[rows, dim], up to the diagonal: cells
  // right of it hold anything. Products of 512 rows in fp32, of 4,096 where operands are rounded,
  // their sums in fp64.
  int (*gram_add)(Device*, Failure*, int64_t rows, int64_t dim, const float* x, int64_t row,
                  int64_t count, double* gram, Precision precision);
  // cross[count, columns] += rows [row, row + count) of RᵀX for r[rows, residual_dim], at columns
  // [column, column + columns), likewise.
  int (*cross_add)(Device*, Failure*, int64_t rows, int64_t residual_dim, int64_t row,
                   int64_t count, int64_t dim, int64_t column, int64_t columns,
                   const float* residual, const float* x, double* cross, Precision precision);
  // The most that one of these takes of the budget while it runs.
  int (*gemm_bytes)(Device*, Failure*, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k,
                    Precision precision, uint64_t* bytes);
  int (*gram_bytes)(Device*, Failure*, int64_t rows, int64_t dim, int64_t count,
                    Precision precision, uint64_t* bytes);
  int (*cross_bytes)(Device*, Failure*, int64_t rows, int64_t residual_dim, int64_t count,
                     int64_t dim, int64_t columns, Precision precision, uint64_t* bytes);
  // squares[dim] += Σ x², sums[dim] += Σ x over the rows; both may be null.
  int (*moments_add)(Device*, Failure*, int64_t rows, int64_t dim, const float* x, double* squares,
                     double* sums);
  // *sum += Σ (a - b)², b null = 0. Takes kSumBlocks doubles of the budget meanwhile.
  int (*squared_distance)(Device*, Failure*, int64_t count, const float* a, const float* b,
                          double* sum);

  // What the next call takes of the budget meanwhile.
  int (*cholesky_bytes)(Device*, Failure*, int64_t n, uint64_t* bytes);
  // Lower Cholesky factor in place (lower triangle read and written); *positive (host) = 0 when a
  // pivot is not positive.
  int (*cholesky)(Device*, Failure*, int64_t n, double* a, int64_t lda, int32_t* positive);
  // X[m, n] <- X inv(L)ᵀ (forward) or X inv(L)
  int (*solve_lower)(Device*, Failure*, int32_t forward, int64_t n, const double* factor,
                     int64_t ldf, int64_t m, double* x, int64_t ldx);
  // factor[n, n] <- inv(L Lᵀ), whole, for its lower triangle L; root[n, n] <- inv(L).
  int (*invert_factored)(Device*, Failure*, int64_t n, double* factor, double* root);
  // to[n] = the diagonal of a[n, n].
  int (*diagonal)(Device*, Failure*, int64_t n, const double* a, int64_t lda, double* to);
  // a[n, n] becomes a[count, count], the rows and columns `indices` of it, ascending. Takes
  // kCompactRows × n doubles of the budget meanwhile.
  int (*compact)(Device*, Failure*, int64_t n, int64_t count, const int32_t* indices, double* a);

  // A linear map x Wᵀ + b for a weight W[outputs, inputs] that is brought once, as products want
  // it. `bias`: it gets one too. load: rows [row, row + count) of W; load_bias: b (both host).
  // apply: to[rows, outputs] = x[rows, inputs] Wᵀ + b + beta to; apply_back: to[rows, inputs] =
  // x[rows, outputs] W.
  int (*map_open)(Device*, Failure*, int64_t outputs, int64_t inputs, int32_t bias,
                  Precision precision, LinearMap** map);
  int (*map_load)(Device*, Failure*, LinearMap* map, int64_t row, int64_t count, const float* from);
  int (*map_load_bias)(Device*, Failure*, LinearMap* map, const float* from);
  int (*map_apply)(Device*, Failure*, LinearMap* map, int64_t rows, const float* x, float beta,
                   float* to);
  int (*map_apply_back)(Device*, Failure*, LinearMap* map, int64_t rows, const float* x, float* to);
  int (*map_close)(Device*, Failure*, LinearMap* map);
  // What one takes of the budget, its bias beside; and the most while `floats` of it are loaded or
  // it is applied to x[rows, columns].
  int (*map_bytes)(Device*, Failure*, int64_t outputs, int64_t inputs, Precision precision,
                   uint64_t* bytes);
  int (*map_work_bytes)(Device*, Failure*, int64_t floats, int64_t rows, int64_t columns,
                        Precision precision, uint64_t* bytes);

  // Scores of tokens by a vocabulary that passes by in pieces, so that no row of logits is ever
  // whole. start: nothing is known. add: the next piece, words [first, first + count);
  // logits[count, stride] hold a token a column, and become exp(logit - the largest so far) where
  // they are `kept`; cap as of an attention's scores; targets[tokens], -1 = none. finish:
  // log_sum[tokens] = log Σ exp(logit), and the factors become 1 / Σ exp(logit - the largest).
  int (*scores_start)(Device*, Failure*, int64_t tokens, const TokenStates* states);
  int (*scores_add)(Device*, Failure*, int64_t tokens, int64_t first, int64_t count, float* logits,
                    int64_t stride, int32_t kept, float cap, const int32_t* targets,
                    const TokenStates* states);
  int (*scores_finish)(Device*, Failure*, int64_t tokens, const TokenStates* states,
                       double* log_sum);
  // x[rows, cols] <- factor[row] x
  int (*scale_rows)(Device*, Failure*, int64_t rows, int64_t cols, const float* factor, float* x);
};

using ApiFunction = const Api* (*)();

}  // namespace struprune::cuda
