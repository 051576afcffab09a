// The mean of the head's rows under every token's next-token distribution: softmax(logits) W. Where
// logits are capped a row counts by the slope of its cap: what the mean logit has for gradient.
#pragma once

#include <functional>
#include <vector>

#include "model/ends.h"
#include "ops/softmax.h"

namespace struprune {

// a b, in double.
double Dot(size_t count, const float* a, const float* b);

class ExpectedRows {
 public:
  // Tokens of a flight, where memory does not ask for fewer.
  static constexpr size_t kFlightRows = 2048;

  // A piece of a row's logits as it passes, the index-th of its row: exp(logit - maximum so far) of
  // vocabulary [column, column + columns), their sum, and the softmax with this piece in it.
  struct Piece {
    size_t row, index, column, columns;
    const float* weights;
    double sum;
    const RunningSoftmax& softmax;
  };
  using Visit = std::function<void(const Piece&)>;

  // Of flights of at most `rows` rows.
  ExpectedRows(Context& context, const EndsSpec& spec, size_t rows);
  // Of it while it runs, the tile of the table included.
  static Needs NeedsOf(const Context& context, const EndsShape& ends, size_t rows);

  // sums[rows, embedding_width] <- sum of exp(logit - maximum) W[v] for inputs[rows,
  // embedding_width] of the head; one pass over the table, with the softmax's own running maximum.
  // Where logits are capped W[v] is times the slope of `at` (may be inputs), inputs of the head
  // too. `visit` (may be empty) is called on all threads, for a row in the vocabulary's order.
  void Run(size_t rows, const float* inputs, const float* at, float* sums, const Visit& visit);

  // Of the last run: what its sums are to be divided by is `sum`.
  const RunningSoftmax& softmax(size_t row) const { return softmaxes_[row]; }
  // The same of logits of `at`: sum of exp(logit - maximum) times it. Only where they are capped.
  double logit(size_t row) const { return logits_[row]; }

 private:
  // What one call is given.
  struct Pass {
    const float *inputs, *at;
    float* sums;
    const Visit& visit;
  };
  void AddPiece(const Pass& pass, size_t first, size_t count, size_t column, size_t columns,
                const float* table, size_t worker);

  Context& context_;
  const EndsSpec& spec_;
  std::vector<RunningSoftmax> softmaxes_;
  std::vector<double> logits_;
  const size_t chunk_;              // most rows of a task
  Buffer<float> weights_, slopes_;  // [chunk, columns] a worker
};

}  // namespace struprune
