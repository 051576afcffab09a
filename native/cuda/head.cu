#include <algorithm>

#include "cuda/cells.h"
#include "cuda/head.h"

namespace struprune::cuda {
namespace {

// Tokens of a block, side by side in the lanes of a warp: rows of logits are read in whole lines.
// Its warps share the piece of the vocabulary.
constexpr int kLanes = 32, kSlices = kThreads / kLanes;
// Logits that a thread has asked for before it waits for the first of them.
constexpr int kBatch = 8;

// visit(j, logits of token at j) for j = slice, slice + kSlices, … below count, in order.
template <typename Visit>
__device__ void EachLogit(int slice, int64_t count, const float* logits, int64_t stride,
                          Visit visit) {
  for (int64_t first = slice; first < count; first += kSlices * kBatch) {
    float batch[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int64_t j = first + b * kSlices;
      batch[b] = j < count ? logits[j * stride] : 0.0f;
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int64_t j = first + b * kSlices;
      if (j < count) visit(j, batch[b]);
    }
  }
}

// The next piece of the vocabulary, [first, first + count): logits[count, stride] hold a token a
// column, and become exp(logit - the largest so far) where they are `kept`. targets[tokens], -1 =
// none.
__global__ void __launch_bounds__(kThreads)
    LogitsKernel(int64_t tokens, int64_t first, int64_t count, float* logits, int64_t stride,
                 bool kept, const int32_t* targets, TokenStates states) {
  __shared__ float tops[kSlices][kLanes];
  __shared__ int32_t places[kSlices][kLanes];
  __shared__ double sums[kSlices][kLanes];
  const int lane = static_cast<int>(threadIdx.x) % kLanes,
            slice = static_cast<int>(threadIdx.x) / kLanes;
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kLanes + lane;
  const bool inside = token < tokens;
  float* const own = logits + token;
  const int64_t target = inside && targets[token] >= 0 ? targets[token] - first : -1;
  float top = -INFINITY, target_logit = 0;
  int32_t place = 0x7fffffff;
  if (inside) {
    EachLogit(slice, count, own, stride, [&](int64_t j, float logit) {
      if (logit > top) {
        top = logit;
        place = static_cast<int32_t>(j);
      }
      if (j == target) target_logit = logit;
    });
  }
  // Whose slice the target lies in.
  if (target >= 0 && target < count && target % kSlices == slice) {
    states.target_logit[token] = target_logit;
  }
  tops[slice][lane] = top;
  places[slice][lane] = place;
  __syncthreads();
  for (int s = 0; s < kSlices; ++s) {
    const float other = tops[s][lane];
    if (other > top || (other == top && places[s][lane] < place)) {
      top = other;
      place = places[s][lane];
    }
  }
  const float before = inside ? states.top[token] : top;
  const bool rises = top > before;
  if (!rises) top = before;
  double sum = 0;
  if (inside) {
    EachLogit(slice, count, own, stride, [&](int64_t j, float logit) {
      const float weight = expf(logit - top);
      if (kept) own[j * stride] = weight;
      sum += static_cast<double>(weight);
    });
  }
  sums[slice][lane] = sum;
  __syncthreads();
  if (!inside || slice != 0) return;
  for (int s = 1; s < kSlices; ++s) sum += sums[s][lane];
  const double earlier = states.sum[token];
  const float factor = earlier > 0 ? expf(before - top) : 0.0f;
  states.factor[token] = factor;
  states.sum[token] = earlier * static_cast<double>(factor) + sum;
  states.top[token] = top;
  if (rises) states.best[token] = static_cast<int32_t>(first) + place;
}

__global__ void StartKernel(int64_t tokens, TokenStates states) {
  for (int64_t i = FirstCell(); i < tokens; i += Stride()) {
    states.top[i] = -INFINITY;
    states.sum[i] = 0;
    states.target_logit[i] = NAN;
    states.best[i] = -1;
    states.factor[i] = 0;
  }
}

// The factor becomes what sums of exponentials are divided by.
__global__ void FinishKernel(int64_t tokens, TokenStates states, double* log_sum) {
  for (int64_t i = FirstCell(); i < tokens; i += Stride()) {
    log_sum[i] = log(states.sum[i]) + static_cast<double>(states.top[i]);
    states.factor[i] = static_cast<float>(1 / states.sum[i]);
  }
}

// x[rows, cols] <- factor[row] x; after the first pieces of the vocabulary most factors are 1.
__global__ void ScaleRowsKernel(int64_t rows, int64_t cols, const float* factor, float* x) {
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const float by = factor[row];
    if (by == 1.0f) continue;
    for (int64_t col = FirstCell(); col < cols; col += Stride()) x[row * cols + col] *= by;
  }
}

int64_t StrideOf(const HeadSpec& spec) { return CeilDiv(spec.flight, 8) * 8; }

}  // namespace

void CheckSpec(const HeadSpec& s) {
  if (s.width < 1 || s.flight < 1 || s.piece < 1) {
    throw Error("ERR_ARGUMENT", "a head's shape on the GPU cannot be meant");
  }
}

RunnerBytes BytesOf(const Device& device, const HeadSpec& s) {
  const auto floats = [](int64_t count) { return ArrayBytes<float>(count); };
  const int64_t stride = StrideOf(s);
  RunnerBytes bytes{};
  bytes.device = LinearMap::Bytes(device, stride, s.width, s.forward) - floats(stride) +
                 floats(s.piece * stride) + (s.mean ? floats(s.flight * s.width) : 0) +
                 5 * floats(s.flight) + 2 * ArrayBytes<double>(s.flight) +
                 kSlots * floats(s.piece * s.width);
  const int64_t loaded = std::min(s.piece, s.flight) * s.width;
  uint64_t work = std::max(LinearMap::ApplyScratch(device, s.piece, s.width, s.forward),
                           LinearMap::LoadScratch(device, loaded, s.forward));
  if (s.mean && IsSplit(device, s.forward)) {
    work = std::max(
        work, PartsBytes(s.piece, s.flight, s.forward) + PartsBytes(s.piece, s.width, s.forward));
  }
  bytes.device += work;
  bytes.pinned = kSlots * floats(s.piece * s.width);
  return bytes;
}

HeadRunner::Slot::Slot(Device& device, const HeadSpec& spec)
    : rows(device.pinned, spec.piece * spec.width),
      table(device.Allocate<float>(spec.piece * spec.width)) {}

HeadRunner::HeadRunner(Device& device, const HeadSpec& spec)
    : device_(device),
      spec_(spec),
      stride_(StrideOf(spec)),
      tokens_(device, stride_, spec.width, false, spec.forward),
      logits_(device.Allocate<float>(spec.piece * stride_)),
      means_(device.Allocate<float>(spec.mean ? spec.flight * spec.width : 0)),
      top_(device.Allocate<float>(spec.flight)),
      target_logit_(device.Allocate<float>(spec.flight)),
      factor_(device.Allocate<float>(spec.flight)),
      sum_(device.Allocate<double>(spec.flight)),
      log_sum_(device.Allocate<double>(spec.flight)),
      targets_(device.Allocate<int32_t>(spec.flight)),
      best_(device.Allocate<int32_t>(spec.flight)),
      slots_{{device, spec}, {device, spec}} {}

// The slab's arrays must not go while a stream still uses them.
HeadRunner::~HeadRunner() {
  cudaStreamSynchronize(device_.copy_in);
  cudaStreamSynchronize(device_.compute);
}

TokenStates HeadRunner::States() const {
  return {top_.data(), sum_.data(), target_logit_.data(), best_.data(), factor_.data()};
}

void HeadRunner::Begin(int64_t rows, const int32_t* targets) {
  if (rows < 1 || rows > spec_.flight) {
    throw Error("ERR_ARGUMENT", "a flight of tokens on the GPU cannot be meant");
  }
  while (!waiting_.empty()) Wait();
  rows_ = rows, first_ = 0, finished_ = false;
  Launch("a start", StartKernel, GridFor(rows), kThreads, device_.compute, rows, States());
  clock_.Time(device_, device_.times.copy_in, "targets", [&] {
    if (targets) return CopyIn(targets, targets_.data(), rows, device_.compute);
    // Every byte of -1.
    Check(cudaMemsetAsync(targets_.data(), 0xff, static_cast<size_t>(rows) * sizeof(int32_t),
                          device_.compute),
          "a memset");
  });
}

// For the oldest push.
void HeadRunner::Wait() {
  const Slot& slot = slots_[waiting_.front()];
  waiting_.pop_front();
  Check(cudaEventSynchronize(slot.computed), "a piece of the head");
  SiteTimes& times = device_.times;
  times.copy_in += Seconds(slot.pushed, slot.uploaded);
  if (slot.is_table) times.forward += Seconds(slot.started, slot.computed);
}

float* HeadRunner::Stage() {
  if (waiting_.size() == kSlots) Wait();
  return slots_[next_].rows.data();
}

template <typename Send>
void HeadRunner::Push(int64_t count, bool is_table, Send send) {
  if (count < 1 || count > spec_.piece || waiting_.size() == kSlots) {
    throw Error("ERR_ARGUMENT", "a piece of a head for the GPU cannot be meant");
  }
  Slot& slot = slots_[next_];
  slot.is_table = is_table;
  send(slot);
  Check(cudaEventRecord(slot.computed, device_.compute), "an event");
  waiting_.push_back(next_);
  next_ = (next_ + 1) % kSlots;
}

void HeadRunner::PushTokens(int64_t row, int64_t count) {
  if (row < 0 || row + count > rows_) {
    throw Error("ERR_ARGUMENT", "tokens outside a flight on the GPU");
  }
  Push(count, false, [&](Slot& slot) {
    Check(cudaEventRecord(slot.pushed, device_.compute), "an event");
    tokens_.Load(row, count, slot.rows.data());
    Check(cudaEventRecord(slot.uploaded, device_.compute), "an event");
  });
}

void HeadRunner::PushTable(int64_t count) {
  Push(count, true, [&](Slot& slot) {
    Check(cudaEventRecord(slot.pushed, device_.copy_in), "an event");
    CopyIn(slot.rows.data(), slot.table.data(), count * spec_.width, device_.copy_in);
    Check(cudaEventRecord(slot.uploaded, device_.copy_in), "an event");
    Check(cudaStreamWaitEvent(device_.compute, slot.uploaded, 0), "an event");
    Check(cudaEventRecord(slot.started, device_.compute), "an event");
    tokens_.Apply(count, slot.table.data(), 0, logits_.data());
    Launch("logits", LogitsKernel, static_cast<unsigned>(CeilDiv(rows_, kLanes)), kThreads,
           device_.compute, rows_, first_, count, logits_.data(), stride_, spec_.mean != 0,
           targets_.data(), States());
    if (spec_.mean) AddMeans(count, slot.table.data());
    first_ += count;
  });
}

void HeadRunner::ScaleMeans() {
  const dim3 grid(GridFor(spec_.width), GridFor(rows_, 1));
  Launch("a scale", ScaleRowsKernel, grid, kThreads, device_.compute, rows_, spec_.width,
         factor_.data(), means_.data());
}

// means <- factor * means + exponentialsᵀ W; what they hold before the first piece does not count.
void HeadRunner::AddMeans(int64_t count, const float* table) {
  const float keep = first_ > 0 ? 1.0f : 0.0f;
  if (first_ > 0) ScaleMeans();
  GemmF32(device_, true, false, rows_, spec_.width, count, 1, logits_.data(), stride_, table,
          spec_.width, keep, means_.data(), spec_.width, spec_.forward);
}

void HeadRunner::ReadScores(const HeadScores& to) {
  while (!waiting_.empty()) Wait();
  if (!finished_) {
    Launch("an end", FinishKernel, GridFor(rows_), kThreads, device_.compute, rows_, States(),
           log_sum_.data());
    if (spec_.mean && first_ > 0) ScaleMeans();
    finished_ = true;
  }
  clock_.Time(device_, device_.times.copy_out, "scores", [&] {
    if (to.log_sum) CopyOut(log_sum_.data(), to.log_sum, rows_, device_.compute);
    if (to.target_logit) CopyOut(target_logit_.data(), to.target_logit, rows_, device_.compute);
    if (to.best) CopyOut(best_.data(), to.best, rows_, device_.compute);
  });
}

void HeadRunner::ReadMeans(int64_t row, int64_t count) {
  if (!spec_.mean || !finished_ || row < 0 || count < 0 || row + count > rows_ ||
      count > spec_.piece) {
    throw Error("ERR_ARGUMENT", "means that the GPU has not");
  }
  clock_.Time(device_, device_.times.copy_out, "means", [&] {
    CopyOut(means_.data() + row * spec_.width, slots_[next_].rows.data(), count * spec_.width,
            device_.compute);
  });
}

}  // namespace struprune::cuda
