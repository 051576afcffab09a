// A head without a norm, and the states that it reads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "float_tensors.h"
#include "model/ends.h"

namespace struprune::test {

struct HeadModel {
  size_t width, vocab;
  std::vector<float> head, states;
  EndsSpec spec;

  HeadModel(size_t width_, size_t vocab_, size_t rows, unsigned seed)
      : width(width_),
        vocab(vocab_),
        head(RandomFloats(vocab * width, seed)),
        states(RandomFloats(rows * width, seed + 100)) {
    spec.hidden = spec.embedding_width = width;
    spec.vocab = vocab;
    spec.head = FloatTensor("head", vocab, width, head);
  }

  std::vector<double> LogProbabilities(size_t row) const {
    std::vector<double> values(vocab);
    for (size_t v = 0; v < vocab; ++v) {
      for (size_t j = 0; j < width; ++j) {
        values[v] += static_cast<double>(head[v * width + j]) * states[row * width + j];
      }
      if (const double cap = spec.logit_cap; cap > 0) values[v] = cap * std::tanh(values[v] / cap);
    }
    const double top = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (const double value : values) sum += std::exp(value - top);
    for (double& value : values) value -= top + std::log(sum);
    return values;
  }
};

}  // namespace struprune::test
