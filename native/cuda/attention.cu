// Causal attention by tiles of queries and keys with a running softmax: no S×S matrix.
#include "cuda/math.h"
#include "cuda/ops.h"
#include "cuda/reduce.h"

namespace struprune::cuda {
namespace {

// One block: TQ queries of one head of one window. A group of 256 RQ / TQ threads owns RQ queries:
// a thread has its share of their scores of a tile of TK keys, and kOwn of the head's HD dimensions
// of their outputs, so that what it reads of shared memory serves several sums. Keys and values of
// a tile take turns in the same shared memory.
template <int TQ, int TK, int HD, int RQ>
__global__ void __launch_bounds__(256) AttentionKernel(AttentionShape shape, const float* q,
                                                       const float* k, const float* v, float* out) {
  constexpr int kGroups = TQ / RQ, kLanes = 256 / kGroups, kOwn = HD / kLanes,
                kScores = TK / kLanes;
  static_assert(kLanes <= 32 && kLanes * kGroups == 256 && kGroups * RQ == TQ &&
                    kOwn * kLanes == HD && kScores * kLanes == TK,
                "tile shapes");
  __shared__ float queries[TQ][HD + 1];
  __shared__ float keys[TK][HD + 1];
  __shared__ float weights[TQ][TK + 1];
  const int tid = static_cast<int>(threadIdx.x), group = tid / kLanes, lane = tid % kLanes;
  const int hd = static_cast<int>(shape.head_dim);
  // The last queries see the most keys: their blocks start first.
  const int64_t head = blockIdx.y;
  const int64_t first = static_cast<int64_t>(gridDim.x - 1 - blockIdx.x) * TQ;
  const int64_t q_stride = shape.heads * hd, kv_stride = shape.kv_heads * hd;
  const int64_t start = static_cast<int64_t>(blockIdx.z) * shape.window;
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const float* q_at = q + start * q_stride + head * hd;
  const float* k_at = k + start * kv_stride + kv_head * hd;
  const float* v_at = v + start * kv_stride + kv_head * hd;

  for (int at = tid; at < TQ * HD; at += 256) {
    const int i = at / HD, d = at % HD;
    const bool inside = first + i < shape.window && d < hd;
    queries[i][d] = inside ? q_at[(first + i) * q_stride + d] * shape.scale : 0.0f;
  }
  // Of query group + r kGroups of the tile.
  float result[RQ][kOwn], top[RQ], sum[RQ];
#pragma unroll
  for (int r = 0; r < RQ; ++r) {
    top[r] = shape.sinks ? shape.sinks[head] : -INFINITY;
    sum[r] = shape.sinks ? 1 : 0;
#pragma unroll
    for (int i = 0; i < kOwn; ++i) result[r][i] = 0;
  }

  const int64_t last = first + TQ < shape.window ? first + TQ : shape.window;
  int64_t tile = 0;
  if (shape.sliding > 0 && first + 1 > shape.sliding) tile = (first + 1 - shape.sliding) / TK * TK;
  const auto load_tile = [&](const float* from) {
    for (int at = tid; at < TK * HD; at += 256) {
      const int j = at / HD, d = at % HD;
      const bool inside = tile + j < shape.window && d < hd;
      keys[j][d] = inside ? from[(tile + j) * kv_stride + d] : 0.0f;
    }
  };
  for (; tile < last; tile += TK) {
    __syncthreads();  // the values of the tile before are no longer read
    load_tile(k_at);
    __syncthreads();
    float scores[RQ][kScores];
#pragma unroll
    for (int r = 0; r < RQ; ++r) {
#pragma unroll
      for (int s = 0; s < kScores; ++s) scores[r][s] = 0;
    }
#pragma unroll 8
    for (int d = 0; d < HD; ++d) {
      float key[kScores];
#pragma unroll
      for (int s = 0; s < kScores; ++s) key[s] = keys[lane + s * kLanes][d];
#pragma unroll
      for (int r = 0; r < RQ; ++r) {
        const float value = queries[group + r * kGroups][d];
#pragma unroll
        for (int s = 0; s < kScores; ++s) scores[r][s] += value * key[s];
      }
    }
    float shrink[RQ];
#pragma unroll
    for (int r = 0; r < RQ; ++r) {
      const int row = group + r * kGroups;
      float tile_top = -INFINITY;
#pragma unroll
      for (int s = 0; s < kScores; ++s) {
        const int64_t key = tile + lane + s * kLanes;
        if (key >= shape.window || !Sees(first + row, key, shape.sliding)) {
          scores[r][s] = -INFINITY;
        } else {
          scores[r][s] = Capped(scores[r][s], shape.cap);
        }
        tile_top = scores[r][s] > tile_top ? scores[r][s] : tile_top;
      }
      tile_top = LaneMax(tile_top, kLanes);
      const float next = tile_top > top[r] ? tile_top : top[r];
      // Nothing seen yet: exp(-inf + inf) would be NaN.
      shrink[r] = next == -INFINITY ? 1.0f : expf(top[r] - next);
      float tile_sum = 0;
#pragma unroll
      for (int s = 0; s < kScores; ++s) {
        const float weight = scores[r][s] == -INFINITY ? 0.0f : expf(scores[r][s] - next);
        weights[row][lane + s * kLanes] = weight;
        tile_sum += weight;
      }
      sum[r] = sum[r] * shrink[r] + LaneSum(tile_sum, kLanes);
      top[r] = next;
    }
    __syncthreads();  // all scores are made: the keys may go
    load_tile(v_at);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < RQ; ++r) {
#pragma unroll
      for (int i = 0; i < kOwn; ++i) result[r][i] *= shrink[r];
    }
#pragma unroll 4
    for (int j = 0; j < TK; ++j) {
      float weight[RQ];
#pragma unroll
      for (int r = 0; r < RQ; ++r) weight[r] = weights[group + r * kGroups][j];
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        const float value = keys[j][lane + i * kLanes];
#pragma unroll
        for (int r = 0; r < RQ; ++r) result[r][i] += weight[r] * value;
      }
    }
  }
#pragma unroll
  for (int r = 0; r < RQ; ++r) {
    const int64_t query = first + group + r * kGroups;
    if (query >= shape.window) continue;
    float* to = out + (start + query) * q_stride + head * hd;
    const float inverse = 1.0f / sum[r];  // a query sees itself: sum > 0
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const int d = lane + i * kLanes;
      if (d < hd) to[d] = result[r][i] * inverse;
    }
  }
}

template <int TQ, int TK, int HD, int RQ>
void Run(Device& device, const AttentionShape& shape, int64_t windows, const float* q,
         const float* k, const float* v, float* out) {
  const dim3 grid(static_cast<unsigned>(CeilDiv(shape.window, TQ)),
                  GridAxis(shape.heads, "the number of heads"),
                  GridAxis(windows, "the number of windows"));
  Launch("attention", AttentionKernel<TQ, TK, HD, RQ>, grid, dim3(256), device.compute, shape, q, k,
         v, out);
}

}  // namespace

void Attention(Device& device, const AttentionShape* shape, int64_t windows, const float* q,
               const float* k, const float* v, float* out) {
  if (windows == 0 || shape->heads == 0) return;
  if (shape->head_dim <= 64) {
    Run<64, 32, 64, 4>(device, *shape, windows, q, k, v, out);
  } else if (shape->head_dim <= 128) {
    Run<48, 32, 128, 3>(device, *shape, windows, q, k, v, out);
  } else if (shape->head_dim <= 256) {
    Run<16, 16, 256, 1>(device, *shape, windows, q, k, v, out);
  } else {
    throw Error("ERR_UNSUPPORTED", "the GPU's attention holds heads of at most 256 dimensions",
                "use --device cpu");
  }
}

}  // namespace struprune::cuda
