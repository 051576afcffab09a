#include "model/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "expect_error.h"
#include "head_model.h"
#include "memory_matrix.h"

namespace struprune {
namespace {

using Model = test::HeadModel;

TokenComparison Compared(const Model& p, size_t p_row, const Model& q, size_t q_row,
                         std::span<const int32_t> targets, size_t threads) {
  const auto context = std::make_shared<Context>(threads, 0);
  // Flights of rows that pages cut.
  const auto scratch =
      std::make_shared<PageStore>(context, 7 * p.width * sizeof(float), testing::TempDir());
  PagedMatrix of_p(scratch, p.states.size() / p.width, p.width, 7);
  auto of_q = test::MemoryMatrix(context, q.states.size() / q.width, q.width);
  of_p.Write(0, of_p.rows(), p.states.data());
  of_q.Write(0, of_q.rows(), q.states.data());
  return CompareTokens(*context, {&p.spec, &of_p, p_row}, {&q.spec, &of_q, q_row}, targets);
}

// Two tiles of the vocabulary with pieces that are not whole, two chunks of tokens, states that
// begin at other rows, heads of other widths, one with capped logits.
TEST(CompareTest, EqualsTheFormulasInDouble) {
  constexpr size_t kVocab = 5000, kTokens = 300, kRow = 7;
  const Model p(8, kVocab, kTokens + kRow, 1);
  Model q(5, kVocab, kTokens, 2);
  q.spec.logit_cap = 6;
  std::vector<int32_t> targets(kTokens);
  for (size_t i = 0; i < kTokens; ++i) targets[i] = static_cast<int32_t>(i * 16 + 3);
  targets[1] = -1;
  targets[2] = kVocab - 1;
  const TokenComparison found = Compared(p, kRow, q, 0, targets, 2);
  for (size_t i = 0; i < kTokens; ++i) {
    if (targets[i] < 0) {
      EXPECT_TRUE(std::isnan(found.nll[i]) && std::isnan(found.kl[i]));
      EXPECT_EQ(found.best[i], -1);
      EXPECT_EQ(found.reference_best[i], -1);
      continue;
    }
    const auto log_p = p.LogProbabilities(kRow + i), log_q = q.LogProbabilities(i);
    double kl = 0;
    for (size_t v = 0; v < kVocab; ++v) kl += std::exp(log_p[v]) * (log_p[v] - log_q[v]);
    EXPECT_NEAR(found.kl[i], kl, 1e-4 * std::max(1.0, kl)) << i;
    EXPECT_NEAR(found.nll[i], -log_q[static_cast<size_t>(targets[i])], 1e-4) << i;
    const auto best = [](const std::vector<double>& values) {
      return std::max_element(values.begin(), values.end()) - values.begin();
    };
    EXPECT_EQ(found.best[i], best(log_q)) << i;
    EXPECT_EQ(found.reference_best[i], best(log_p)) << i;
  }
  const TokenComparison single = Compared(p, kRow, q, 0, targets, 1);
  EXPECT_EQ(single.best, found.best);
  for (size_t i = 2; i < kTokens; ++i) EXPECT_EQ(single.kl[i], found.kl[i]) << i;
}

TEST(CompareTest, AModelIsNoDistanceFromItself) {
  const Model model(6, 1500, 20, 3);
  const std::vector<int32_t> targets(20, 4);
  const TokenComparison found = Compared(model, 0, model, 0, targets, 1);
  for (size_t i = 0; i < targets.size(); ++i) {
    EXPECT_NEAR(found.kl[i], 0, 1e-12);
    EXPECT_EQ(found.best[i], found.reference_best[i]);
  }
}

TEST(CompareTest, RefusesWhatCannotBeCompared) {
  const Model small(4, 100, 8, 5), other(4, 101, 8, 6);
  const std::vector<int32_t> targets(8, 1), outside(8, 100);
  const std::string code = "ERR_ARGUMENT";
  test::ExpectError([&] { Compared(small, 0, other, 0, targets, 1); }, code, "100 and 101");
  test::ExpectError([&] { Compared(small, 1, small, 0, targets, 1); }, code, "agree");
  test::ExpectError([&] { Compared(small, 0, small, 0, outside, 1); }, code, "token id 100");
}

TEST(CompareTest, RefusesLogitsThatAreNotFinite) {
  Model broken(4, 100, 8, 7);
  broken.states[5] = std::numeric_limits<float>::quiet_NaN();
  const Model whole(4, 100, 8, 8);
  const std::vector<int32_t> targets(8, 1);
  test::ExpectError([&] { Compared(whole, 0, broken, 0, targets, 1); }, "ERR_NAN", "not finite");
  test::ExpectError([&] { Compared(broken, 0, whole, 0, targets, 1); }, "ERR_NAN", "not finite");
}

}  // namespace
}  // namespace struprune
