#include "model/head_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "expect_error.h"
#include "float_tensors.h"
#include "memory_matrix.h"
#include "passes/divergence.h"

namespace struprune {
namespace {

using Doubles = std::vector<double>;

struct Weights {
  std::vector<float> norm, norm_bias, project_out, head;
};

std::vector<float> Random(size_t count, float mean, float spread, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = mean + spread * normal(generator);
  return values;
}

EndsSpec MakeEnds(size_t hidden, size_t width, size_t vocab, NormKind norm, const Weights& weights,
                  bool tied) {
  EndsSpec spec;
  spec.hidden = hidden;
  spec.embedding_width = width;
  spec.vocab = vocab;
  spec.norm = norm;
  spec.eps = 1e-5f;
  const auto vector = [&](const char* name, const std::vector<float>& values) {
    return std::optional(test::FloatTensor(name, 1, values.size(), values));
  };
  if (!weights.norm.empty()) spec.final_norm = vector("norm", weights.norm);
  if (!weights.norm_bias.empty()) spec.final_norm_bias = vector("norm bias", weights.norm_bias);
  if (!weights.project_out.empty()) {
    spec.project_out = test::FloatTensor("project_out", width, hidden, weights.project_out);
  }
  (tied ? spec.embedding : spec.head) = test::FloatTensor("head", vocab, width, weights.head);
  return spec;
}

// Logits of one hidden state in double, from the formulas.
Doubles LogitsOf(const EndsSpec& spec, const Weights& w, Doubles x) {
  const size_t d = spec.hidden, width = spec.embedding_width;
  if (!w.norm.empty()) {
    double mean = 0, square = 0;
    if (spec.norm == NormKind::kLayer) {
      for (const double value : x) mean += value / static_cast<double>(d);
    }
    for (const double value : x) square += (value - mean) * (value - mean) / static_cast<double>(d);
    for (size_t i = 0; i < d; ++i) {
      x[i] = (x[i] - mean) / std::sqrt(square + spec.eps) * w.norm[i];
      if (!w.norm_bias.empty()) x[i] += w.norm_bias[i];
    }
  }
  Doubles input = x;
  if (!w.project_out.empty()) {
    input.assign(width, 0);
    for (size_t o = 0; o < width; ++o) {
      for (size_t i = 0; i < d; ++i) input[o] += w.project_out[o * d + i] * x[i];
    }
  }
  Doubles logits(spec.vocab);
  for (size_t v = 0; v < spec.vocab; ++v) {
    for (size_t i = 0; i < width; ++i) logits[v] += w.head[v * width + i] * input[i];
    if (const double cap = spec.logit_cap; cap > 0) logits[v] = cap * std::tanh(logits[v] / cap);
  }
  return logits;
}

double LogSumExp(const Doubles& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - top);
  return top + std::log(sum);
}

struct Result {
  HeadLoss loss;
  std::vector<float> gradient;
};

Result Gradient(const EndsSpec& spec, const std::vector<float>& hidden,
                const std::vector<int32_t>& targets, Labels labels, uint64_t seed, size_t threads) {
  const auto context = std::make_shared<Context>(threads, 0);
  auto states = test::MemoryMatrix(context, targets.size(), spec.hidden);
  const auto scratch =
      std::make_shared<PageStore>(context, 0, threads > 1 ? testing::TempDir() : "");
  PagedMatrix gradient(scratch, targets.size(), spec.hidden);
  states.Write(0, targets.size(), hidden.data());
  Result result;
  result.loss = HeadGradient(*context, spec, {&states, &gradient, targets, labels, seed});
  result.gradient.resize(hidden.size());
  gradient.Read(0, targets.size(), result.gradient.data());
  return result;
}

struct Variation {
  const char* name;
  size_t hidden, width;
  NormKind norm;
  bool has_norm, has_bias, tied;
  float cap = 0;
};

class HeadGradientTest : public testing::TestWithParam<Variation> {};

// The vocabulary spans two tiles of the table and five pieces of logits.
TEST_P(HeadGradientTest, EqualsCentralDifferencesOfADoubleLoss) {
  const Variation& v = GetParam();
  constexpr size_t kVocab = 5000, kTokens = 6;
  Weights weights;
  if (v.has_norm) weights.norm = Random(v.hidden, 1, 0.3f, 1);
  if (v.has_bias) weights.norm_bias = Random(v.hidden, 0, 0.3f, 2);
  if (v.width != v.hidden) weights.project_out = Random(v.width * v.hidden, 0, 0.5f, 3);
  weights.head = Random(kVocab * v.width, 0, 2, 4);
  EndsSpec spec = MakeEnds(v.hidden, v.width, kVocab, v.norm, weights, v.tied);
  spec.logit_cap = v.cap;
  const std::vector<float> hidden = Random(kTokens * v.hidden, 0.2f, 1, 5);
  const std::vector<int32_t> targets = {0, 4999, -1, 4096, 1023, 2500};

  const Result got = Gradient(spec, hidden, targets, Labels::kEmpirical, 0, 2);

  double nll = 0;
  for (size_t t = 0; t < kTokens; ++t) {
    Doubles x(hidden.begin() + static_cast<ptrdiff_t>(t * v.hidden),
              hidden.begin() + static_cast<ptrdiff_t>((t + 1) * v.hidden));
    const auto loss = [&] {
      if (targets[t] < 0) return 0.0;
      const Doubles logits = LogitsOf(spec, weights, x);
      return LogSumExp(logits) - logits[static_cast<size_t>(targets[t])];
    };
    nll += loss();
    Doubles wanted(v.hidden);
    double largest = 0;
    for (size_t i = 0; i < v.hidden; ++i) {
      const double at = x[i];
      x[i] = at + 1e-5;
      const double up = loss();
      x[i] = at - 1e-5;
      wanted[i] = (up - loss()) / 2e-5;
      x[i] = at;
      largest = std::max(largest, std::abs(wanted[i]));
    }
    for (size_t i = 0; i < v.hidden; ++i) {
      ASSERT_NEAR(got.gradient[t * v.hidden + i], wanted[i], 1e-5 * largest) << t << ", " << i;
    }
  }
  EXPECT_EQ(got.loss.targets, kTokens - 1);
  EXPECT_NEAR(got.loss.nll, nll, 1e-5 * nll);
}

TEST_P(HeadGradientTest, OfADivergenceEqualsCentralDifferences) {
  const Variation& v = GetParam();
  constexpr size_t kVocab = 5000, kTokens = 6;
  Weights weights;
  if (v.has_norm) weights.norm = Random(v.hidden, 1, 0.3f, 1);
  // Of so few bits that an entry times 1 + kStep is a float.
  constexpr float kStep = 0x1p-15f;
  RoundTo(Dtype::BF16, 1, weights.norm.size(), weights.norm.data());
  if (v.has_bias) weights.norm_bias = Random(v.hidden, 0, 0.3f, 2);
  if (v.width != v.hidden) weights.project_out = Random(v.width * v.hidden, 0, 0.5f, 3);
  weights.head = Random(kVocab * v.width, 0, 2, 4);
  EndsSpec spec = MakeEnds(v.hidden, v.width, kVocab, v.norm, weights, v.tied);
  spec.logit_cap = v.cap;
  const std::vector<float> p = Random(kTokens * v.hidden, 0.2f, 1, 5);
  std::vector<float> q = Random(p.size(), 0, 0.3f, 6);
  for (size_t i = 0; i < p.size(); ++i) q[i] += p[i];

  const auto context = std::make_shared<Context>(2, 0);
  auto dense = test::MemoryMatrix(context, kTokens, v.hidden),
       mean = test::MemoryMatrix(context, kTokens, v.width),
       states = test::MemoryMatrix(context, kTokens, v.hidden),
       gradient = test::MemoryMatrix(context, kTokens, v.hidden);
  dense.Write(0, kTokens, p.data());
  states.Write(0, kTokens, q.data());
  const auto entropy = ExpectHead(*context, spec, dense, mean);
  Statistics factors({context, std::make_shared<PageStore>(context, 0, "")}, v.hidden, false, 0);
  const double got = DivergenceGradient(
      *context, spec, {&states, &gradient, &mean, entropy, v.has_norm ? &factors : nullptr});
  std::vector<float> gradients(q.size());
  gradient.Read(0, kTokens, gradients.data());

  const auto row = [&](const std::vector<float>& of, size_t t) {
    const auto first = of.begin() + static_cast<ptrdiff_t>(t * v.hidden);
    return Doubles(first, first + static_cast<ptrdiff_t>(v.hidden));
  };
  const auto divergence = [&](size_t t, const Doubles& x, const Weights& of_q) {
    const Doubles log_p = LogitsOf(spec, weights, row(p, t)), log_q = LogitsOf(spec, of_q, x);
    const double sum_p = LogSumExp(log_p), sum_q = LogSumExp(log_q);
    double sum = 0;
    for (size_t i = 0; i < kVocab; ++i) {
      sum += std::exp(log_p[i] - sum_p) * (log_p[i] - sum_p - log_q[i] + sum_q);
    }
    return sum;
  };
  double total = 0;
  // Of all tokens: where p and q are alike a gradient is what two large sums differ by.
  double most = 0;
  Doubles all;
  for (size_t t = 0; t < kTokens; ++t) {
    Doubles x = row(q, t);
    total += divergence(t, x, weights);
    for (size_t i = 0; i < v.hidden; ++i) {
      const double at = x[i];
      x[i] = at + 1e-5;
      const double up = divergence(t, x, weights);
      x[i] = at - 1e-5;
      all.push_back((up - divergence(t, x, weights)) / 2e-5);
      x[i] = at;
      most = std::max(most, std::abs(all.back()));
    }
  }
  for (size_t i = 0; i < all.size(); ++i) ASSERT_NEAR(gradients[i], all[i], 1e-5 * most) << i;
  EXPECT_NEAR(got, total, 1e-5 * total);
  if (!v.has_norm) return;
  Doubles wanted(v.hidden);
  // The tokens' shares of a factor cancel: rounding is of their sum without signs.
  double largest = 0;
  for (size_t j = 0; j < v.hidden; ++j) {
    const auto scaled = [&](float factor) {
      Weights of_q = weights;
      of_q.norm[j] *= factor;
      return of_q;
    };
    const Weights up = scaled(1 + kStep), down = scaled(1 - kStep);
    double sizes = 0;
    for (size_t t = 0; t < kTokens; ++t) {
      const Doubles x = row(q, t);
      const double share = (divergence(t, x, up) - divergence(t, x, down)) / (2 * kStep);
      wanted[j] += share;
      sizes += std::abs(share);
    }
    largest = std::max(largest, sizes);
  }
  for (size_t j = 0; j < v.hidden; ++j) {
    EXPECT_NEAR(factors.sums()[j], wanted[j], 1e-5 * largest) << j;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ends, HeadGradientTest,
    testing::Values(Variation{"Llama", 6, 6, NormKind::kRms, true, false, false},
                    Variation{"LlamaTied", 6, 6, NormKind::kRms, true, false, true},
                    Variation{"Gemma2", 6, 6, NormKind::kRms, true, false, true, 4},
                    Variation{"OptPre", 6, 6, NormKind::kLayer, true, true, true},
                    Variation{"OptPostProjected", 8, 5, NormKind::kLayer, false, false, true},
                    Variation{"NormAndProjection", 8, 5, NormKind::kLayer, true, true, false},
                    Variation{"NeitherNormNorProjection", 6, 6, NormKind::kRms, false, false,
                              false}),
    [](const auto& info) { return std::string(info.param.name); });

// A head whose first column is the token's own number and whose second is its logit: a hidden state
// (0, 1) has these logits, and its gradient tells which label was used.
class SampledLabels : public testing::Test {
 protected:
  static constexpr size_t kVocab = 5000, kTokens = 3000, kWindow = 30;
  SampledLabels() : logits_(kVocab, -60), hidden_(2 * kTokens), targets_(kTokens, 3) {
    // Tokens of every piece and both tiles, of unlike weight.
    std::mt19937 generator(9);
    for (size_t i = 0; i < 40; ++i) {
      logits_[(i * 127 + 5) % kVocab] = std::uniform_real_distribution<double>(-2, 1)(generator);
    }
    Weights weights;
    for (size_t v = 0; v < kVocab; ++v) {
      weights.head.push_back(static_cast<float>(v));
      weights.head.push_back(static_cast<float>(logits_[v]));
    }
    for (double& logit : logits_) logit = static_cast<float>(logit);
    for (size_t t = 0; t < kTokens; ++t) {
      hidden_[2 * t + 1] = 1;
      if ((t + 1) % kWindow == 0) targets_[t] = -1;
    }
    spec_ = MakeEnds(2, 2, kVocab, NormKind::kRms, weights, false);
  }

  std::vector<size_t> Used(const Result& result) const {
    double mean = 0;
    const double total = LogSumExp(logits_);
    for (size_t v = 0; v < kVocab; ++v)
      mean += static_cast<double>(v) * std::exp(logits_[v] - total);
    std::vector<size_t> labels;
    for (size_t t = 0; t < kTokens; ++t) {
      if (targets_[t] < 0) {
        EXPECT_EQ(result.gradient[2 * t], 0);
        continue;
      }
      const double label = mean - result.gradient[2 * t];
      EXPECT_NEAR(label, std::round(label), 0.1);
      labels.push_back(static_cast<size_t>(std::round(label)));
    }
    return labels;
  }

  Doubles logits_;
  std::vector<float> hidden_;
  std::vector<int32_t> targets_;
  EndsSpec spec_;
};

TEST_F(SampledLabels, FollowTheModelsOwnDistribution) {
  const Result result = Gradient(spec_, hidden_, targets_, Labels::kSampled, 42, 2);
  const std::vector<size_t> labels = Used(result);
  std::map<size_t, double> counts;
  for (const size_t label : labels) ++counts[label];
  const double total = LogSumExp(logits_), drawn = static_cast<double>(labels.size());
  double chi_square = 0, entropy = 0, square = 0;
  size_t bins = 0;
  for (size_t v = 0; v < kVocab; ++v) {
    const double log_p = logits_[v] - total, p = std::exp(log_p);
    entropy -= p * log_p;
    square += p * log_p * log_p;
    if (p * drawn < 5) continue;
    ++bins;
    chi_square += std::pow(counts[v] - p * drawn, 2) / (p * drawn);
  }
  ASSERT_EQ(bins, 40u);
  // 39 degrees of freedom: mean 39, deviation 8.8; four deviations from it.
  EXPECT_LT(chi_square, 39 + 4 * 8.8);
  EXPECT_GT(chi_square, 39 - 4 * 8.8);
  // The loss is that of the drawn labels, whose mean is the entropy.
  EXPECT_EQ(result.loss.targets, labels.size());
  EXPECT_NEAR(result.loss.nll / drawn, entropy,
              4 * std::sqrt((square - entropy * entropy) / drawn));
}

TEST_F(SampledLabels, DependOnSeedAndTokenAlone) {
  const auto labels = [&](uint64_t seed, size_t threads) {
    return Used(Gradient(spec_, hidden_, targets_, Labels::kSampled, seed, threads));
  };
  const auto first = labels(1, 1);
  EXPECT_EQ(first, labels(1, 3));
  EXPECT_NE(first, labels(2, 1));
  // One token's label says nothing about the next one's: equal neighbours are as frequent as
  // chance.
  double equal = 0, expected = 0;
  const double total = LogSumExp(logits_);
  for (size_t v = 0; v < kVocab; ++v) expected += std::exp(2 * (logits_[v] - total));
  const double pairs = static_cast<double>(first.size() - 1);
  for (size_t i = 1; i < first.size(); ++i) equal += first[i] == first[i - 1];
  EXPECT_NEAR(equal / pairs, expected, 4 * std::sqrt(expected / pairs));
}

TEST_F(SampledLabels, EmpiricalLabelsAreTheTargets) {
  const auto labels = Used(Gradient(spec_, hidden_, targets_, Labels::kEmpirical, 1, 2));
  for (const size_t label : labels) ASSERT_EQ(label, 3u);
}

TEST(HeadGradient, RefusesShapesThatDisagreeAndNamesWhatIsNotFinite) {
  Weights weights;
  weights.head = Random(20 * 4, 0, 1, 1);
  const EndsSpec spec = MakeEnds(4, 4, 20, NormKind::kRms, weights, false);
  const auto context = std::make_shared<Context>(1, 0);
  auto hidden = test::MemoryMatrix(context, 3, 4), gradient = test::MemoryMatrix(context, 3, 4),
       narrow = test::MemoryMatrix(context, 3, 3);
  std::vector<float> states = Random(12, 0, 1, 2);
  hidden.Write(0, 3, states.data());
  const std::vector<int32_t> targets = {1, 2, -1}, few = {1, 2}, outside = {1, 20, -1};
  const auto code = [&](PagedMatrix* to, const std::vector<int32_t>& labels) {
    try {
      HeadGradient(*context, spec, {&hidden, to, labels, Labels::kEmpirical, 0});
    } catch (const Error& error) {
      return error.code();
    }
    return std::string();
  };
  EXPECT_EQ(code(&gradient, targets), "");
  EXPECT_EQ(code(&hidden, targets), "ERR_ARGUMENT");
  EXPECT_EQ(code(&narrow, targets), "ERR_ARGUMENT");
  EXPECT_EQ(code(&gradient, few), "ERR_ARGUMENT");
  test::ExpectError(
      [&] { HeadGradient(*context, spec, {&hidden, &gradient, outside, Labels::kEmpirical, 0}); },
      "ERR_ARGUMENT", "token id 20");
  states[5] = std::numeric_limits<float>::infinity();
  hidden.Write(0, 3, states.data());
  for (const Labels labels : {Labels::kEmpirical, Labels::kSampled}) {
    test::ExpectError(
        [&] { HeadGradient(*context, spec, {&hidden, &gradient, targets, labels, 0}); }, "ERR_NAN",
        "not finite");
  }
}

}  // namespace
}  // namespace struprune
