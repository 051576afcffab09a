#include "passes/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "expect_error.h"
#include "head_model.h"
#include "model/compare.h"

namespace struprune {
namespace {

using test::HeadModel;

constexpr size_t kPage = 70;

struct Paged {
  std::shared_ptr<Context> context;
  std::shared_ptr<PageStore> store;

  explicit Paged(size_t threads, size_t width)
      : context(std::make_shared<Context>(threads, 0)),
        store(std::make_shared<PageStore>(context, 2 * kPage * width * sizeof(float),
                                          testing::TempDir())) {}

  std::unique_ptr<PagedMatrix> Matrix(size_t rows, size_t cols) {
    return std::make_unique<PagedMatrix>(store, rows, cols, kPage);
  }
  std::unique_ptr<PagedMatrix> Of(const HeadModel& model) {
    auto matrix = Matrix(model.states.size() / model.width, model.width);
    matrix->Write(0, matrix->rows(), model.states.data());
    return matrix;
  }
};

std::vector<double> Divergences(const HeadModel& p, const HeadModel& q, size_t threads) {
  Paged paged(threads, p.width);
  const auto of_p = paged.Of(p), of_q = paged.Of(q);
  const auto mean = paged.Matrix(of_p->rows(), p.width);
  const auto entropy = ExpectHead(*paged.context, p.spec, *of_p, *mean);
  return DivergenceFrom(*paged.context, p.spec, *mean, entropy, *of_q);
}

// One head and other states: near ones, as after a small change of the model, and far ones.
HeadModel Changed(HeadModel model, float by, unsigned seed) {
  const auto noise = test::RandomFloats(model.states.size(), seed);
  for (size_t i = 0; i < noise.size(); ++i) model.states[i] += by * noise[i];
  return model;
}

// What single precision may be off by: every logit is a sum of products, of whose sizes this is the
// mean under p.
double SizeOfProducts(const HeadModel& p, const HeadModel& q, size_t row,
                      const std::vector<double>& log_p) {
  double size = 0;
  for (size_t v = 0; v < p.vocab; ++v) {
    for (size_t j = 0; j < p.width; ++j) {
      const size_t at = row * p.width + j;
      size += std::exp(log_p[v]) * std::abs(p.head[v * p.width + j]) *
              (std::abs(p.states[at]) + std::abs(q.states[at]));
    }
  }
  return size;
}

// Two tiles of the vocabulary with pieces that are not whole, pages that are not whole chunks.
void ExpectTheFormula(float cap) {
  constexpr size_t kVocab = 5000, kTokens = 300;
  HeadModel p(8, kVocab, kTokens, 1);
  p.spec.logit_cap = cap;
  for (const float by : {0.01f, 1.0f}) {
    const HeadModel q = Changed(p, by, 9);
    const auto found = Divergences(p, q, 2);
    ASSERT_EQ(found.size(), kTokens);
    double sum = 0, sum_found = 0;
    for (size_t i = 0; i < kTokens; ++i) {
      const auto log_p = p.LogProbabilities(i), log_q = q.LogProbabilities(i);
      double kl = 0;
      for (size_t v = 0; v < kVocab; ++v) kl += std::exp(log_p[v]) * (log_p[v] - log_q[v]);
      const double bound =
          2 * p.width * std::numeric_limits<float>::epsilon() * SizeOfProducts(p, q, i, log_p);
      EXPECT_NEAR(found[i], kl, bound) << by << ' ' << i;
      sum += kl, sum_found += found[i];
    }
    // Trials read the mean, in which rounding errors cancel.
    EXPECT_NEAR(sum_found, sum, 1e-2 * sum) << by;
    EXPECT_EQ(Divergences(p, q, 1), found);
  }
}

TEST(DivergenceTest, EqualsTheFormulaInDouble) { ExpectTheFormula(0); }
TEST(DivergenceTest, OfCappedLogitsEqualsTheFormulaInDouble) { ExpectTheFormula(3); }

// As of a head that has those rows alone.
TEST(DivergenceTest, OfASampleIsThatOfItsTokens) {
  constexpr size_t kVocab = 9000, kSome = 5000, kTokens = 90;
  HeadModel all(8, kVocab, kTokens, 1), some(8, kSome, kTokens, 1);
  for (size_t i = 0; i < kSome; ++i) {
    const size_t token = i * 7919 % kVocab;
    all.spec.sample.push_back(static_cast<int32_t>(token));
    std::copy_n(all.head.begin() + token * 8, 8, some.head.begin() + i * 8);
  }
  all.spec.vocab = kSome;
  some.spec.head = test::FloatTensor("head", kSome, 8, some.head);
  some.states = all.states;
  EXPECT_EQ(Divergences(all, Changed(all, 0.1f, 9), 2),
            Divergences(some, Changed(some, 0.1f, 9), 2));
}

TEST(DivergenceTest, AModelIsNoDistanceFromItself) {
  const HeadModel model(6, 1500, 20, 3);
  for (const double kl : Divergences(model, model, 1)) EXPECT_NEAR(kl, 0, 1e-5);
}

TEST(DivergenceTest, RefusesShapesThatDisagreeAndLogitsThatAreNotFinite) {
  const HeadModel model(4, 100, 8, 5), longer(4, 100, 9, 5);
  test::ExpectError([&] { Divergences(model, longer, 1); }, "ERR_ARGUMENT", "agree");
  HeadModel broken = model;
  broken.states[5] = std::numeric_limits<float>::quiet_NaN();
  test::ExpectError([&] { Divergences(model, broken, 1); }, "ERR_NAN", "not finite");
  test::ExpectError([&] { Divergences(broken, model, 1); }, "ERR_NAN", "not finite");
}

}  // namespace
}  // namespace struprune
