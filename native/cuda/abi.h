// The border between the CPU side (native/backend) and the CUDA library: plain types and one table
// of functions. The library is loaded with dlopen; its only symbol is struprune_cuda_api. No
// exception crosses: a function returns 0, or 1 with `failure` filled in.
//
// Pointers named in the table are device memory of that device unless a comment says "host".
// Matrices are row-major; a stride counts elements between rows; a count fits in int64_t.
#pragma once

#include <cstdint>

namespace struprune::cuda {

// Raised whenever anything below changes: a library of another number is refused.
inline constexpr uint32_t kAbiVersion = 10;
inline constexpr const char* kApiSymbol = "struprune_cuda_api";

struct Device;
struct Site;
struct Ffn;
struct Head;

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

enum class Norm : int32_t { kRms, kLayer };
enum class Gate : int32_t { kSilu, kRelu, kGelu, kGeluTanh };
enum class Element : int32_t { kF32, kF16, kBf16 };

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

// Seconds of the streams for sites, passes of FFNs and heads since the device was opened. Copies
// run beside computation: the sum may be longer than it took.
struct SiteTimes {
  double copy_in;  // pages and weights, from memory that the device reads by itself
  double forward;
  double sums;      // Gram matrices, moments, residuals
  double copy_out;  // pages and sums
};

inline constexpr int64_t kCompactRows = 64;

struct AttentionShape {
  int64_t window, heads, kv_heads, head_dim, sliding;  // sliding 0 = all
  float scale;
};

// Maps of a site, [out, in]: q, k and v belong to attention, gate and up to the FFN; kOut is o or
// down.
enum class SiteMap : int32_t { kQ, kK, kV, kGate, kUp, kOut };

// Host memory of what else a site has, as floats; null where absent.
struct SiteVectors {
  const float *norm, *norm_bias, *q_norm, *k_norm, *out_norm, *out_norm_bias;
  const float* biases[6];      // by SiteMap
  const float *cosine, *sine;  // [window, head_dim / 2]; null = no rope
};

// Host: pinned memory for rows of a weight on their way in, and how many floats fit.
struct WeightRows {
  float* rows;
  int64_t floats;
};

struct SiteSpec {
  int32_t attention;  // 1: attention, 0: FFN
  int64_t hidden, width;
  int64_t flight;  // most rows of one push; whole windows
  int64_t window, heads, kv_heads, head_dim, sliding;
  Norm norm;
  float eps;
  int32_t post_norm;
  int32_t out_norm;  // of what the output map gives, before it is added
  float scale;       // of an attention's scores
  Gate gate;
  int32_t gated;
  int32_t advance;    // hidden goes on through the output map
  int32_t keep;       // the input of the output map comes back too
  int32_t inputs;     // of an FFN: what its input maps read comes back
  int32_t targets;    // of an FFN: the output of its output map comes back, plus R
  int32_t moments;    // sums and squares of that input are kept
  int64_t gram_rows;  // most rows of its Gram that a pass sums; 0: none
  int32_t residual;   // pushes bring dense states, and R and RᵀX are kept
  float alpha, beta;
  Precision forward, gram;
};

// Host: pinned memory of a page on its way in, null where the site reads no such states.
struct SitePage {
  float *hidden, *before, *after;  // [flight, hidden]; the last two: dense states
};

// Host: pinned memory of a page that came back, null where the site makes no such states.
struct SiteResult {
  const float *hidden, *x;        // [rows, hidden], [rows, width]
  const float *inputs, *targets;  // [rows, hidden]
  int32_t finite;                 // 0 where the hidden states are no longer finite
};

// Passes of the least squares of an FFN Ŷ = P Dᵀ + b over its inputs X and targets Y
// (docs/method.md, section 7; J is the derivative of Ŷ by the input weights).
enum class FfnPass : int32_t {
  kGradient,  // Jᵀ(Y − Ŷ), and what the Kronecker approximation of JᵀJ is made of
  kProduct,   // ‖J v‖² for a change v of the input weights and, where it has a band, JᵀJ v
  kHidden,    // P, and as residual Y − Ŷ: what a refit of D needs
};

struct FfnSpec {
  FfnPass pass;
  int64_t inputs, width, outputs;  // columns of X, channels, columns of Y
  int64_t flight;                  // most rows of one push
  Gate gate;
  int32_t gated;
  int64_t band;  // most channels of which a way over the tokens makes rows of the sums
  Precision forward, gram;
};

// D [outputs, width]; gate or, without one, up [width, inputs]; up; and their changes v.
enum class FfnWeight : int32_t { kDown, kFirst, kSecond, kFirstChange, kSecondChange };

// Host: pinned memory of a page on its way in: [flight, inputs], [flight, outputs] (null for a
// product).
struct FfnTokenPage {
  float *inputs, *targets;
};

// Sums in doubles. Of the band at hand: gradients [band, inputs] of the first and the second part
// (JᵀJ v in a product), Gram matrices [band, width] of their slopes; after the last way: the Gram
// matrix of X [inputs, inputs] (kGradient). In kHidden kGram is the band of that of P [band, width]
// and kCross those columns of (Y − Ŷ)ᵀP [outputs, band]. Cells of a Gram matrix right of the
// diagonal hold anything.
enum class FfnRows : int32_t {
  kFirstGradient,
  kSecondGradient,
  kFirstCurvature,
  kSecondCurvature,
  kGram,
  kCross,
};

// Host; null where they are not wanted. Squares and sums by column of X (kGradient) or P (kHidden);
// sums of Y − Ŷ (kHidden); ‖Y − Ŷ‖² or ‖J v‖²; ‖Y‖².
struct FfnSums {
  double *squares, *sums, *output_sums, *energy, *target;
};

// Scores of tokens by a model's head W [vocab, width]: a piece of the vocabulary at a time, so that
// no row of logits is ever whole.
struct HeadSpec {
  int64_t width;
  int64_t flight;  // most tokens at a time
  int64_t piece;   // most rows of a push
  int32_t mean;    // the means of W's rows under the tokens' next-token distributions are made too
  Precision forward;
};

// Host, [rows] each; null where they are not wanted.
struct HeadScores {
  double* log_sum;      // log Σ exp(logit)
  float* target_logit;  // NaN where there is no target
  int32_t* best;        // first largest logit
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
  int (*site_times)(Device*, Failure*, SiteTimes* times);
  // Name and where products come from; *blas = 1 where that is cuBLAS.
  int (*describe)(Device*, Failure*, char* text, int64_t size, int32_t* blas);
  // *fast = 1 where linear algebra in doubles belongs on this GPU: it has units for it, cuBLAS and
  // cuSOLVER. Fixed when it was opened.
  int (*fast_doubles)(Device*, Failure*, int32_t* fast);
  // *found = 1 where cuSOLVER is there, which this call opens.
  int (*has_solver)(Device*, Failure*, int32_t* found);

  int (*allocate)(Device*, Failure*, int64_t bytes, void** data);
  int (*release)(Device*, Failure*, void* data);
  int (*upload)(Device*, Failure*, void* to, const void* from, int64_t bytes);    // from: host
  int (*download)(Device*, Failure*, void* to, const void* from, int64_t bytes);  // to: host
  int (*fill_zero)(Device*, Failure*, void* data, int64_t bytes);
  int (*synchronise)(Device*, Failure*);
  // Seconds of the compute stream between two calls: starts the clock (null), or reads it.
  int (*clock)(Device*, Failure*, double* seconds);

  // out[rows, cols] = norm(x) * weight (+ bias); in place is allowed.
  int (*norm)(Device*, Failure*, Norm kind, int64_t rows, int64_t cols, const float* x,
              int64_t x_stride, const float* weight, const float* bias, float eps, float* out,
              int64_t out_stride);
  // Half-split rotation of x[rows, heads * 2 half] in place; row i at position (first + i) % window
  // of cosine and sine [window, half].
  int (*rope)(Device*, Failure*, int64_t rows, int64_t heads, int64_t half, const float* cosine,
              const float* sine, float* x, int64_t stride, int64_t first, int64_t window);
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
  int (*add_bias)(Device*, Failure*, int64_t rows, int64_t cols, const float* bias, float* x);
  // to = alpha a + beta b
  int (*combine)(Device*, Failure*, int64_t count, float alpha, const float* a, float beta,
                 const float* b, float* to);
  int (*widen)(Device*, Failure*, Element from_type, int64_t count, const void* from, float* to);
  int (*narrow)(Device*, Failure*, Element to_type, int64_t count, const float* from, void* to);

  // C[m, n] = alpha op(A)[m, k] op(B)[k, n] + beta C
  int (*gemm_f32)(Device*, Failure*, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k,
                  float alpha, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
                  float* c, int64_t ldc, Precision precision);
  // The same for operands of bf16: cuBLAS alone, to which the others are compared.
  // ERR_UNSUPPORTED without it.
  int (*gemm_bf16)(Device*, Failure*, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k,
                   float alpha, const void* a, int64_t lda, const void* b, int64_t ldb, float beta,
                   float* c, int64_t ldc);
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
  // squares[dim] += Σ x², sums[dim] += Σ x over the rows; both may be null.
  int (*moments_add)(Device*, Failure*, int64_t rows, int64_t dim, const float* x, double* squares,
                     double* sums);
  // *sum += Σ (a - b)², b null = 0: the loss of a reconstruction.
  int (*squared_distance)(Device*, Failure*, int64_t count, const float* a, const float* b,
                          double* sum);

  // energies[groups] = Σ (w + u)² over the rows and the group's columns; u may be null.
  int (*group_energies)(Device*, Failure*, int64_t rows, int64_t groups, int64_t group,
                        const double* w, const double* u, double* energies);
  // to = right + rho (z - u): what an ADMM step solves for.
  int (*admm_right)(Device*, Failure*, int64_t count, double rho, const double* right,
                    const double* z, const double* u, double* to);
  // z <- (w + u) on kept groups, 0 elsewhere; *moved = ‖z - z_before‖².
  int (*admm_project)(Device*, Failure*, int64_t rows, int64_t groups, int64_t group,
                      const uint8_t* keep, const double* w, const double* u, double* z,
                      double* moved);
  // u <- u + w - z; sums[4] = ‖w - z‖², ‖w‖², ‖z‖², ‖u‖².
  int (*admm_dual)(Device*, Failure*, int64_t count, const double* w, const double* z, double* u,
                   double* sums);
  // Zeroes the columns of groups whose byte is 0.
  int (*mask_columns)(Device*, Failure*, int64_t rows, int64_t groups, int64_t group,
                      const uint8_t* keep, float* x);
  // to[rows, count] = from[rows, indices]; scatter writes the other way, other cells stay.
  int (*gather_columns)(Device*, Failure*, int64_t rows, int64_t count, const int32_t* indices,
                        const float* from, int64_t from_stride, float* to, int64_t to_stride);
  int (*scatter_columns)(Device*, Failure*, int64_t rows, int64_t count, const int32_t* indices,
                         const float* from, int64_t from_stride, float* to, int64_t to_stride);
  // to[count, cols] = from[indices, cols]
  int (*gather_rows)(Device*, Failure*, int64_t count, int64_t cols, const int32_t* indices,
                     const float* from, float* to);

  // What the next call takes of the budget meanwhile.
  int (*cholesky_bytes)(Device*, Failure*, int64_t n, uint64_t* bytes);
  // Lower Cholesky factor in place (lower triangle read and written); *positive (host) = 0 when a
  // pivot is not positive.
  int (*cholesky)(Device*, Failure*, int64_t n, double* a, int64_t lda, int32_t* positive);
  // X[m, n] <- X inv(L)ᵀ inv(L)
  int (*solve_rows)(Device*, Failure*, int64_t n, const double* factor, int64_t ldf, int64_t m,
                    double* x, int64_t ldx);
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
  // Eigenvalues w[n] ascending of the symmetric a[n, n], whose rows become the eigenvectors.
  int (*eigen)(Device*, Failure*, int64_t n, double* a, int64_t lda, double* w);

  // One site over streamed pages. Its maps go up a few rows at a time before the first page:
  // weight_stage waits until pinned memory is free, weight takes what lies there. pass begins a
  // pass over the tokens, which sums rows [row, row + count) of the Gram from zero, and with
  // `residual` those columns of RᵀX (all of them where there is no Gram); all else that the spec
  // asks for is done only in the `last`. stage says where the rows of the next push belong, push
  // sets off what is done with them, pop waits for the oldest push; what it says holds until the
  // next stage. At most two pushes may wait: copies of one run beside the computation of the other.
  int (*site_bytes)(Device*, Failure*, const SiteSpec*, uint64_t* device, uint64_t* pinned);
  int (*site_open)(Device*, Failure*, const SiteSpec*, const SiteVectors*, Site** site);
  int (*site_weight_stage)(Device*, Failure*, Site*, WeightRows* rows);
  int (*site_weight)(Device*, Failure*, Site*, SiteMap which, int64_t row, int64_t count);
  int (*site_pass)(Device*, Failure*, Site*, int64_t row, int64_t count, int32_t last);
  int (*site_stage)(Device*, Failure*, Site*, SitePage* page);
  int (*site_push)(Device*, Failure*, Site*, int64_t rows);
  int (*site_pop)(Device*, Failure*, Site*, SiteResult* result);
  // Host: rows [first, first + count) of the pass's Gram rows, each width long, up to the diagonal:
  // cells right of it may stay as they are.
  int (*site_gram)(Device*, Failure*, Site*, int64_t first, int64_t count, double* gram);
  // Host: rows [first, first + count) of the pass's columns of RᵀX.
  int (*site_cross)(Device*, Failure*, Site*, int64_t first, int64_t count, double* cross);
  // Host: squares and sums[width]; with `residual` residual_sums[hidden], *energy = ‖R‖².
  int (*site_moments)(Device*, Failure*, Site*, double* squares, double* sums,
                      double* residual_sums, double* energy);
  int (*site_close)(Device*, Failure*, Site*);

  // One pass of an FFN's least squares over streamed pages. Weights go up as those of a site, bias
  // (host) [outputs] or null at open. ffn_way begins a way over the tokens, which makes rows
  // [row, row + count) of the sums from zero; all other sums are made in the `last`. stage waits
  // until a page is free and says where the rows of the next push belong.
  int (*ffn_bytes)(Device*, Failure*, const FfnSpec*, uint64_t* device, uint64_t* pinned);
  int (*ffn_open)(Device*, Failure*, const FfnSpec*, const float* bias, Ffn** ffn);
  int (*ffn_weight_stage)(Device*, Failure*, Ffn*, WeightRows* rows);
  int (*ffn_weight)(Device*, Failure*, Ffn*, FfnWeight which, int64_t row, int64_t count);
  int (*ffn_way)(Device*, Failure*, Ffn*, int64_t row, int64_t count, int32_t last);
  int (*ffn_stage)(Device*, Failure*, Ffn*, FfnTokenPage* page);
  int (*ffn_push)(Device*, Failure*, Ffn*, int64_t rows);
  // Host: rows [first, first + count) of one of the sums, after all pages of the way.
  int (*ffn_rows)(Device*, Failure*, Ffn*, FfnRows which, int64_t first, int64_t count,
                  double* rows);
  int (*ffn_sums)(Device*, Failure*, Ffn*, const FfnSums* sums);
  int (*ffn_close)(Device*, Failure*, Ffn*);

  // A head over flights of tokens. begin starts one of `rows` tokens with their targets (host), -1
  // or null = none. stage waits for pinned memory [piece, width] (host): head_tokens takes from
  // there what the head reads of tokens [row, row + count), all of them before the first
  // head_table, which takes the next `count` rows of W. After the last of them scores can be read,
  // and then means into what stage gave, [count, width].
  int (*head_bytes)(Device*, Failure*, const HeadSpec*, uint64_t* device, uint64_t* pinned);
  int (*head_open)(Device*, Failure*, const HeadSpec*, Head** head);
  int (*head_begin)(Device*, Failure*, Head*, int64_t rows, const int32_t* targets);
  int (*head_stage)(Device*, Failure*, Head*, float** page);
  int (*head_tokens)(Device*, Failure*, Head*, int64_t row, int64_t count);
  int (*head_table)(Device*, Failure*, Head*, int64_t count);
  int (*head_scores)(Device*, Failure*, Head*, const HeadScores* scores);
  int (*head_means)(Device*, Failure*, Head*, int64_t row, int64_t count);
  int (*head_close)(Device*, Failure*, Head*);
};

using ApiFunction = const Api* (*)();

}  // namespace struprune::cuda
