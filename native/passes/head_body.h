// A model's head on a GPU: tokens once, its table streamed by pieces of the vocabulary, so that no
// row of logits is ever whole.
#pragma once

#include <functional>

#include "core/context.h"
#include "passes/page_runner.h"

namespace struprune {

// What is there at a time.
struct HeadBodyShape {
  size_t width;
  size_t flight;  // most tokens
  size_t piece;   // most rows of a page
  bool means;     // of the table's rows under the tokens' next-token distributions are made too
};

BodyBytes HeadBytes(const CudaDevice& gpu, const HeadBodyShape& shape);

class HeadBody : private PageBody {
 public:
  // fill(row, count, to[count, width]) with what the head reads of tokens, or with rows of its
  // table; on the host.
  using Fill = std::function<void(size_t row, size_t count, float* to)>;

  // cap: of logits, 0 = none.
  HeadBody(const CudaDevice& gpu, Context& context, const HeadBodyShape& shape, float cap);

  // A flight of tokens with their targets, -1 or null = none, against the whole vocabulary.
  void Run(size_t tokens, const int32_t* targets, const Fill& inputs, size_t vocab,
           const Fill& table);
  // Of the flight, [tokens] each; null where they are not wanted. target_logit: NaN without one.
  struct Scores {
    double* log_sum = nullptr;
    float* target_logit = nullptr;
    int32_t* best = nullptr;  // first largest logit
  };
  void Read(const Scores& to);
  // After it: take(row, count, means[count, width]) in pieces.
  void ReadMeans(const std::function<void(size_t row, size_t count, const float* means)>& take);

 private:
  struct Slot {
    Slot(const CudaDevice& gpu, const HeadBodyShape& shape);
    PinnedArray<float> rows;
    CudaArray<float> table;
  };

  void Stage(size_t slot, const DevicePage& page) override;
  // Tokens become a map, which is loaded by the compute stream.
  cuda::Queue In() const override {
    return is_table_ ? cuda::Queue::kCopyIn : cuda::Queue::kCompute;
  }
  void Upload(size_t slot, const DevicePage& page) override;
  void Forward(size_t slot, const DevicePage& page) override;

  void PushAll(bool is_table, size_t total, const Fill& fill);
  void ScaleMeans() const;
  cuda::TokenStates States() const;

  const CudaDevice& gpu_;
  Context& context_;
  const HeadBodyShape shape_;
  const float cap_;
  const size_t stride_;  // of a row of logits: a flight, in whole 16 bytes of bf16
  const DeviceMap map_;  // the tokens' rows as a map's, so that it has logits for outputs
  const CudaArray<float> logits_, means_, top_, target_logit_, factor_;
  const CudaArray<double> sum_, log_sum_;
  const CudaArray<int32_t> targets_, best_;
  Slot slots_[kSlots];
  const StreamClock clock_;
  size_t tokens_ = 0;  // of the flight
  bool is_table_ = false;
  const Fill* fill_ = nullptr;
  PageRunner runner_;
};

}  // namespace struprune
