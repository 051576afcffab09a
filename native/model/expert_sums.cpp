#include "model/expert_sums.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "model/expert_steps.h"
#include "model/forward_steps.h"
#include "ops/softmax.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Tokens that a worker has in hand: the results of all experts that they pass wait for each other.
constexpr size_t kTogether = 128;

// Numbers of the buffers of a worker, and of the flight.
struct SumCounts {
  SumCounts(const Context& context, const ExpertsSpec& spec, size_t hidden, size_t page)
      : tokens(std::min(kTogether, ChunkRows(context, page))),
        slots(spec.top_k + 1),
        room(spec, hidden, tokens),
        states(tokens * hidden),
        logits(tokens * spec.count),
        numbers(page * ExpertSumsWidth(spec)) {}
  size_t Floats(size_t workers) const {
    return workers * (room.Floats() + (2 + slots) * states + logits) + numbers;
  }

  size_t tokens, slots;
  ExpertCounts room;
  size_t states, logits, numbers;
};

double SquaredNorm(std::span<const float> x) {
  return std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
}

class SumFlight {
 public:
  SumFlight(const Sublayer& layer, PagedMatrix& hidden, size_t page, std::span<const uint8_t> gone,
            Statistics& statistics, PagedMatrix* residual)
      : layer_(layer),
        spec_(*layer.experts()),
        context_(layer.context()),
        states_(hidden),
        statistics_(statistics),
        residual_(residual),
        hidden_(layer.hidden()),
        page_(page),
        segments_(hidden.rows(), page, hidden.share()),
        n_(context_, spec_, hidden_, page),
        numbers_(context_.Allocate<float>(n_.numbers)) {
    for (size_t j = 0; j < spec_.count; ++j) {
      if (!gone[j]) stay_.push_back(j);
    }
    slots_ = std::min(n_.slots, stay_.size());
    for (size_t i = 0; i < context_.pool.size(); ++i) work_.emplace_back(context_, n_);
  }

  void Run(size_t row) {
    const size_t rows = std::min(page_, states_.rows() - row);
    const PagedMatrix::View hidden(states_, row, rows, Access::kRead);
    std::optional<PagedMatrix::View> residual;
    if (residual_) residual.emplace(*residual_, row, rows, Access::kWrite);
    std::ranges::fill(numbers_.span(), 0.0f);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      Work& work = work_[worker];
      for (size_t at = first; at < first + count; at += n_.tokens) {
        const size_t some = std::min(n_.tokens, first + count - at);
        const float* const in =
            MixerInput(layer_, some, hidden.data() + at * hidden_, work.normed.data());
        Choose(some, in, work);
        PassAll(some, in, work);
        for (size_t i = 0; i < some; ++i) {
          const double error = ErrorWithout(work, i, spec_.top_k);
          if (residual) std::ranges::copy(work.mix, residual->data() + (at + i) * hidden_);
          Sum(work, i, error, {numbers_.data() + (at + i) * Width(), Width()});
        }
      }
    });
    statistics_.Add(segments_.At(row), rows, numbers_.data(), nullptr);
  }

 private:
  // What a token passes: with all experts, and of those that stay one more, which would follow.
  struct Token {
    std::vector<Route> dense;
    std::vector<size_t> slots;  // experts
    std::vector<double> odds;   // of each
    std::vector<double> rest;   // of all that stay, less those of each of the first top_k slots
    double all = 0;             // of all that stay
  };

  struct Work {
    Work(Context& context, const SumCounts& n)
        : room(context, n.room),
          normed(context.Allocate<float>(n.states)),
          dense(context.Allocate<float>(n.states)),
          results(context.Allocate<float>(n.slots * n.states)),
          logits(context.Allocate<float>(n.logits)),
          tokens(n.tokens) {}
    ExpertRoom room;
    Buffer<float> normed, dense, results, logits;
    std::vector<Token> tokens;
    std::vector<size_t> rows;  // of the tokens that pass the expert at hand
    std::vector<float> mix;
  };

  size_t Width() const { return ExpertSumsWidth(spec_); }
  bool HasNext() const { return slots_ > spec_.top_k; }
  // Whether probabilities are what they are beside those of all that stay.
  bool DependsOnAll() const { return !spec_.renormalised && !spec_.sigmoid; }
  std::span<float> Logits(Work& work, size_t row) const {
    return {work.logits.data() + row * spec_.count, spec_.count};
  }
  std::span<float> Result(Work& work, size_t row, size_t slot) const {
    return {work.results.data() + (row * n_.slots + slot) * hidden_, hidden_};
  }

  // Leaves in work.logits the odds of those that stay.
  void Choose(size_t rows, const float* in, Work& work) const {
    RouterLogits(layer_, rows, in, work.logits.data());
    std::vector<float> all, left(stay_.size());
    std::vector<double> odds(stay_.size());
    for (size_t i = 0; i < rows; ++i) {
      Token& token = work.tokens[i];
      const std::span<float> logits = Logits(work, i);
      for (size_t m = 0; m < stay_.size(); ++m) left[m] = logits[stay_[m]];
      all.assign(logits.begin(), logits.end());
      token.dense.resize(spec_.top_k);
      ChooseRoutes(layer_, all, token.dense);
      if (spec_.sigmoid) {
        const auto scores = SigmoidsAndScores(layer_, logits);
        for (size_t m = 0; m < stay_.size(); ++m) {
          odds[m] = logits[stay_[m]], left[m] = scores[stay_[m]];
        }
      } else {
        // In doubles those of the others are still numbers above 0 where one has nearly all.
        const double most = MaximumOf(left.size(), left.data(), -std::numeric_limits<float>::max());
        std::ranges::transform(left, odds.begin(), [&](double at) { return std::exp(at - most); });
      }
      std::vector<size_t> places(slots_);
      LargestOf(left, places);
      token.slots.clear(), token.odds.clear(), token.rest.clear();
      for (const size_t place : places) {
        token.slots.push_back(stay_[place]);
        token.odds.push_back(odds[place]);
      }
      token.all = std::accumulate(odds.begin(), odds.end(), 0.0);
      for (size_t slot = 0; slot < spec_.top_k; ++slot) {
        // Not the sum less the largest of its terms: what is left may be far smaller.
        odds[places[slot]] = 0;
        token.rest.push_back(std::accumulate(odds.begin(), odds.end(), 0.0));
        odds[places[slot]] = token.odds[slot];
      }
      for (size_t m = 0; m < stay_.size(); ++m) logits[stay_[m]] = static_cast<float>(odds[m]);
    }
  }

  // The results of every token's slots, and the output with all experts.
  void PassAll(size_t rows, const float* in, Work& work) const {
    std::fill_n(work.dense.data(), rows * hidden_, 0.0f);
    for (size_t j = 0; j < spec_.count; ++j) {
      const auto passes = [&](const Token& token) {
        return std::ranges::find(token.slots, j) != token.slots.end() ||
               std::ranges::find(token.dense, j, &Route::expert) != token.dense.end();
      };
      work.rows.clear();
      for (size_t i = 0; i < rows; ++i) {
        if (passes(work.tokens[i])) work.rows.push_back(i);
      }
      if (work.rows.empty()) continue;
      PassExpert(layer_.inside(j), work.rows, in, work.room);
      for (size_t r = 0; r < work.rows.size(); ++r) Take(j, work.rows[r], r, work);
    }
  }

  // Row r of the room's result is what expert j makes of a token.
  void Take(size_t j, size_t row, size_t r, Work& work) const {
    const Token& token = work.tokens[row];
    const float* const from = work.room.result.data() + r * hidden_;
    for (const auto& [expert, weight] : token.dense) {
      if (expert != j) continue;
      float* const to = work.dense.data() + row * hidden_;
      for (size_t c = 0; c < hidden_; ++c) to[c] += weight * from[c];
    }
    for (size_t slot = 0; slot < slots_; ++slot) {
      if (token.slots[slot] == j) std::copy_n(from, hidden_, Result(work, row, slot).data());
    }
  }

  // numbers[width] of one token, behind ErrorWithout none, which gave `error`.
  void Sum(Work& work, size_t row, double error, std::span<float> numbers) const {
    const Token& token = work.tokens[row];
    const size_t k = spec_.top_k, count = spec_.count;
    const double scale = Scale(token, k);
    if (HasNext() && DependsOnAll()) SumUnpassed(work, row, numbers);
    for (size_t slot = 0; slot < k; ++slot) {
      const size_t expert = token.slots[slot];
      const double norm = std::sqrt(SquaredNorm(Result(work, row, slot)));
      numbers[expert] = static_cast<float>(token.odds[slot] / scale * norm);
      numbers[count + expert] = 1;
      if (!HasNext()) continue;
      numbers[2 * count + expert] = static_cast<float>(ErrorWithout(work, row, slot) - error);
    }
    numbers[3 * count] = static_cast<float>(error);
    numbers[3 * count + 1] =
        static_cast<float>(SquaredNorm({work.dense.data() + row * hidden_, hidden_}));
  }

  // By how much the squared error grows with the probabilities of what a token passes if others
  // went. Behind ErrorWithout none.
  void SumUnpassed(Work& work, size_t row, std::span<float> numbers) const {
    const Token& token = work.tokens[row];
    const float* const dense = work.dense.data() + row * hidden_;
    double cross = 0, norm = 0;  // of what is missing with the output, and of the output
    for (size_t c = 0; c < hidden_; ++c) {
      const double output = dense[c] - work.mix[c];
      cross += work.mix[c] * output, norm += output * output;
    }
    const std::span<float> odds = Logits(work, row);
    for (const size_t j : stay_) {
      const double more = odds[j] / (token.all - odds[j]);
      numbers[2 * spec_.count + j] = static_cast<float>(more * (more * norm - 2 * cross));
    }
  }

  // What the odds of a token's slots are divided by if that one went: top_k stands for none.
  double Scale(const Token& token, size_t without) const {
    if (DependsOnAll()) return without < spec_.top_k ? token.rest[without] : token.all;
    if (!spec_.renormalised) return 1;
    double sum = spec_.sigmoid ? kSigmoidSum : 0;
    for (size_t slot = 0; slot < slots_; ++slot) sum += slot == without ? 0 : token.odds[slot];
    return sum;
  }

  // ‖output with all experts - output of the slots but that one‖², the difference in work.mix.
  double ErrorWithout(Work& work, size_t row, size_t without) const {
    const Token& token = work.tokens[row];
    const double scale = Scale(token, without);
    const float* const dense = work.dense.data() + row * hidden_;
    work.mix.assign(dense, dense + hidden_);
    for (size_t slot = 0; slot < slots_; ++slot) {
      if (slot == without) continue;
      const float weight = static_cast<float>(token.odds[slot] / scale);
      const std::span<const float> result = Result(work, row, slot);
      for (size_t c = 0; c < hidden_; ++c) work.mix[c] -= weight * result[c];
    }
    return SquaredNorm(work.mix);
  }

  const Sublayer layer_;
  const ExpertsSpec& spec_;
  Context& context_;
  PagedMatrix& states_;
  Statistics& statistics_;
  PagedMatrix* const residual_;
  const size_t hidden_, page_;
  const Segments segments_;
  const SumCounts n_;
  Buffer<float> numbers_;
  std::vector<size_t> stay_;
  size_t slots_ = 0;  // of a token
  std::vector<Work> work_;
};

}  // namespace

void SumExperts(const Sublayer& layer, size_t window, PagedMatrix& hidden,
                std::span<const uint8_t> gone, Statistics& statistics, PagedMatrix* residual) {
  const ExpertsSpec& spec = *layer.experts();
  const auto left = static_cast<size_t>(std::ranges::count(gone, 0));
  if (gone.size() != spec.count || left < spec.top_k) {
    throw Error("ERR_ARGUMENT", "as many experts stay as a token passes, at least");
  }
  if (statistics.has_gram() || statistics.residual_dim() > 0 ||
      statistics.dim() != ExpertSumsWidth(spec)) {
    throw Error("ERR_ARGUMENT", "sums of experts have another width");
  }
  if (residual && (residual->rows() != hidden.rows() || residual->cols() != hidden.cols())) {
    throw Error("ERR_ARGUMENT", "the residual has another shape than the states");
  }
  const size_t page = FlightRows(window, hidden.rows(), {&hidden, residual});
  SumFlight flight(layer, hidden, page, gone, statistics, residual);
  const auto [begin, end] = hidden.held();
  const PackedWeights packed = PackedExperts(layer, end - begin);
  Scan weights[] = {ScanOfExperts(layer, page)};
  weights[0].times = (page + kTogether - 1) / kTogether;
  for (size_t row = begin; row < end; row += page) {
    AnnounceFlights(row, end, {{&hidden, Access::kRead}, {residual, Access::kWrite}}, weights);
    flight.Run(row);
  }
  statistics.Join();
}

Needs SumExpertsNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      size_t window, const TokenPages& tokens, bool residual) {
  const ExpertsSpec& spec = *layer.experts();
  const SumCounts n(context, spec, hidden, tokens.flight());
  const Statistics::Sizes sums[] = {{ExpertSumsWidth(spec), false, 0}};
  const size_t missing = residual ? tokens.flight() * hidden : 0;
  Needs needs = HeldFloats(n.Floats(context.pool.size()) + missing) + tokens.View(hidden) +
                Statistics::WaitingNeeds(context, sums, tokens);
  // A token passes those of the whole layer, those of what stays and the one that would follow.
  SublayerSpec passed = layer;
  ExpertsSpec& most = std::get<ExpertsSpec>(passed.mixer);
  most.top_k = std::min(2 * spec.top_k + 1, spec.count);
  most.shared.reset();
  needs.float_flops = SublayerFlops(passed, hidden, tokens.held(), window);
  return needs;
}

}  // namespace struprune
