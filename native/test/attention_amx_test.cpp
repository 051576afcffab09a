// Attention in tiles against its formula in double precision.
#include "ops/attention_amx.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ops/gemm_amx.h"

namespace struprune {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Case {
  size_t window, heads, kv_heads, head_dim, sliding;
  float scale;
};

struct Operands {
  explicit Operands(const Case& c)
      : shape{.window = c.window,
              .heads = c.heads,
              .kv_heads = c.kv_heads,
              .head_dim = c.head_dim,
              .sliding = c.sliding,
              .scale = c.scale} {
    std::mt19937 engine(7);
    std::normal_distribution<float> normal;
    for (std::vector<float>* values : {&q, &k, &v}) {
      values->resize(c.window * (values == &q ? c.heads : c.kv_heads) * c.head_dim);
      for (float& value : *values) value = normal(engine);
    }
  }
  AttentionShape shape;
  std::vector<float> q, k, v;
};

struct Outcome {
  std::vector<float> out, log_sum;
};

// Tiles of 128 queries and what is left, of every head; NaN where nothing is written.
Outcome Attend(size_t parts, const Operands& o) {
  const AttentionShape& shape = o.shape;
  Outcome found{std::vector<float>(o.q.size(), kNaN),
                std::vector<float>(shape.heads * shape.window, kNaN)};
  AttentionScratch scratch;
  for (size_t head = 0; head < shape.heads; ++head) {
    for (size_t first = 0; first < shape.window; first += kQueryTile) {
      AmxAttendTile(parts, shape, head, first, std::min(kQueryTile, shape.window - first),
                    o.q.data(), o.k.data(), o.v.data(), nullptr, found.out.data(),
                    found.log_sum.data() + head * shape.window + first, scratch);
    }
  }
  return found;
}

// One query of a head: calls use(d, output) and returns log Σ exp(scores). `error` receives the
// largest Σ|q||k| of its scores, scaled.
template <typename Use>
double Expected(const Operands& o, size_t head, size_t query, double& error, Use use) {
  const AttentionShape& shape = o.shape;
  const size_t hd = shape.head_dim, kv = head / (shape.heads / shape.kv_heads) * hd;
  const size_t begin = shape.sliding && query + 1 > shape.sliding ? query + 1 - shape.sliding : 0;
  std::vector<double> scores;
  double top = -std::numeric_limits<double>::infinity();
  error = 0;
  for (size_t key = begin; key <= query; ++key) {
    double score = 0, size = 0;
    for (size_t d = 0; d < hd; ++d) {
      const double product = double{o.q[(query * shape.heads + head) * hd + d]} *
                             o.k[key * shape.kv_heads * hd + kv + d] * shape.scale;
      score += product;
      size += std::abs(product);
    }
    scores.push_back(score);
    top = std::max(top, score);
    error = std::max(error, size);
  }
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - top);
  for (size_t d = 0; d < hd; ++d) {
    double value = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      value += scores[i] / sum * o.v[(begin + i) * shape.kv_heads * hd + kv + d];
    }
    use(d, value);
  }
  return top + std::log(sum);
}

class AttentionInTiles : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!HasAmx()) GTEST_SKIP() << "needs AMX";
  }
  // Of Σ|a||b| of a product, and of a weight.
  static double Rounding(size_t parts) {
    return parts == 1 ? 1.0 / 128 : parts == 2 ? 1.0 / (1 << 15) : 1e-6;
  }
};

INSTANTIATE_TEST_SUITE_P(Parts, AttentionInTiles, testing::Values(1, 2, 3));

TEST_P(AttentionInTiles, IsTheFormula) {
  for (const Case& c : {Case{1, 1, 1, 8, 0, 1.0f}, Case{33, 2, 1, 24, 0, 0.3f},
                        Case{128, 3, 3, 64, 0, 0.125f}, Case{300, 4, 2, 80, 0, 0.11f},
                        Case{600, 2, 1, 64, 40, 0.125f}, Case{515, 1, 1, 32, 300, 0.2f},
                        // Scores of which most weights vanish.
                        Case{400, 2, 2, 64, 0, 6.0f}}) {
    const Operands operands(c);
    const Outcome found = Attend(GetParam(), operands);
    const double rounding = Rounding(GetParam());
    const float largest = *std::ranges::max_element(operands.v);
    for (size_t head = 0; head < c.heads; ++head) {
      for (size_t query = 0; query < c.window; ++query) {
        double size = 0;
        std::vector<double> wanted(c.head_dim);
        const double log_sum = Expected(operands, head, query, size,
                                        [&](size_t d, double value) { wanted[d] = value; });
        // A score is off by at most this, so a weight by its exponential.
        const double off = rounding * size, share = std::expm1(2 * off) + 2 * rounding;
        const float* out = found.out.data() + (query * c.heads + head) * c.head_dim;
        for (size_t d = 0; d < c.head_dim; ++d) {
          ASSERT_NEAR(out[d], wanted[d], share * largest + 1e-6)
              << c.window << " " << head << " " << query << " " << d;
        }
        ASSERT_NEAR(found.log_sum[head * c.window + query], log_sum,
                    off + 1e-6 * (1 + std::abs(log_sum)))
            << c.window << " " << head << " " << query;
      }
    }
  }
}

TEST_P(AttentionInTiles, KeepsNaN) {
  Operands operands(
      {.window = 70, .heads = 1, .kv_heads = 1, .head_dim = 32, .sliding = 0, .scale = 1});
  operands.q[40 * 32 + 3] = kNaN;
  const Outcome found = Attend(GetParam(), operands);
  for (size_t query = 0; query < 70; ++query) {
    EXPECT_EQ(std::isnan(found.out[query * 32]), query == 40) << query;
  }
}

}  // namespace
}  // namespace struprune
