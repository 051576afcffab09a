// A model's head on the device: tokens once, its table streamed by pieces of the vocabulary.
#pragma once

#include <deque>

#include "cuda/linear_map.h"
#include "cuda/streams.h"

namespace struprune::cuda {

// What is known of tokens while the vocabulary passes by, [tokens] each: the largest logit so far,
// the sum of exp(logit - it), the logit of the target, the first token with the largest; and by
// what sums weighted with earlier exponentials are to be multiplied.
struct TokenStates {
  float* top;
  double* sum;
  float* target_logit;
  int32_t* best;
  float* factor;
};

class HeadRunner {
 public:
  HeadRunner(Device& device, const HeadSpec& spec);
  ~HeadRunner();
  HeadRunner(const HeadRunner&) = delete;
  HeadRunner& operator=(const HeadRunner&) = delete;

  void Begin(int64_t rows, const int32_t* targets);
  float* Stage();
  void PushTokens(int64_t row, int64_t count);
  void PushTable(int64_t count);
  void ReadScores(const HeadScores& to);
  void ReadMeans(int64_t row, int64_t count);

 private:
  struct Slot {
    Slot(Device& device, const HeadSpec& spec);
    Pinned<float> rows;
    Array<float> table;
    Event pushed{cudaEventDefault}, uploaded{cudaEventDefault}, started{cudaEventDefault},
        computed{cudaEventDefault};
    bool is_table = false;
  };

  // The slot of the next push, after `send` has set off what is done with it.
  template <typename Send>
  void Push(int64_t count, bool is_table, Send send);
  void Wait();
  void AddMeans(int64_t count, const float* table);
  void ScaleMeans();
  TokenStates States() const;

  Device& device_;
  const HeadSpec spec_;
  const int64_t stride_;  // of a row of logits: a flight, in whole 16 bytes of bf16
  LinearMap tokens_;      // their rows as a map's, so that it has logits for outputs
  Array<float> logits_, means_, top_, target_logit_, factor_;
  Array<double> sum_, log_sum_;
  Array<int32_t> targets_, best_;
  Slot slots_[kSlots];
  Clock clock_;
  int64_t rows_ = 0, first_ = 0;  // tokens of the flight, next row of the table
  bool finished_ = false;
  std::deque<int> waiting_;
  int next_ = 0;
};

RunnerBytes BytesOf(const Device& device, const HeadSpec& spec);

// Throws ERR_ARGUMENT for shapes that cannot be meant.
void CheckSpec(const HeadSpec& spec);

}  // namespace struprune::cuda
