#include "passes/head_on_device.h"

#include <algorithm>
#include <string>

#include "backend/host_pages.h"
#include "passes/head_body.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Tokens at a time: more gain nothing, fewer are not worth a way over the vocabulary.
constexpr size_t kMostTokens = 8192, kLeastTokens = 64;

HeadBodyShape ShapeOf(size_t width, size_t vocab, size_t flight, bool means) {
  return {width, flight, std::min(kHeadPiece, std::max<size_t>(vocab, 1)), means};
}

// Floats that the head norms at a time.
size_t ScratchOf(const Context& context, size_t hidden) {
  return context.pool.size() * kHeadChunk * hidden;
}

class HeadOnDevice {
 public:
  HeadOnDevice(const CudaDevice& gpu, Context& context, const EndsSpec& ends, size_t tokens,
               bool means)
      : gpu_(gpu),
        context_(context),
        ends_(ends),
        input_(context, ends),
        plan_(PlanHead(gpu, ends.embedding_width, ends.vocab, tokens, means)),
        pinned_(gpu, context.budget, plan_.pinned_bytes),
        scratch_(context.Allocate<float>(ScratchOf(context, ends.hidden))),
        body_(gpu, context, ShapeOf(ends.embedding_width, ends.vocab, plan_.flight, means),
              ends.logit_cap) {
    // Sites come before and after it again and again.
    pinned_.Taken(Waiting::kStays);
  }

  size_t flight() const { return plan_.flight; }

  // Rows [row, row + rows) of the hidden states against the whole vocabulary; targets [rows] or
  // null.
  void Run(PagedMatrix& hidden, size_t row, size_t rows, const int32_t* targets) {
    body_.Run(
        rows, targets,
        [&](size_t at, size_t count, float* to) {
          input_.Read(context_, hidden, row + at, count, scratch_.data(), to);
        },
        ends_.vocab,
        [&](size_t at, size_t count, float* to) {
          LoadVocabulary(context_, ends_, at, count, to);
        });
  }

  void Read(const HeadBody::Scores& scores) { body_.Read(scores); }

  // Of the flight, whose first row is `row` of `mean`.
  void ReadMeans(size_t row, PagedMatrix& mean) {
    body_.ReadMeans([&](size_t at, size_t count, const float* means) {
      for (size_t done = 0; done < count;) {
        const size_t run = mean.Run(row + at + done, count - done);
        const PagedMatrix::View view(mean, row + at + done, run, Access::kWrite);
        CopyPage(gpu_, context_, means + done * mean.cols(), view.data(), run * mean.cols());
        done += run;
      }
    });
  }

 private:
  const CudaDevice& gpu_;
  Context& context_;
  const EndsSpec& ends_;
  const HeadInput input_;
  const HeadPlan plan_;
  const PinnedMemory pinned_;
  Buffer<float> scratch_;
  HeadBody body_;
};

Needs HeadNeeds(const CudaDevice& gpu, const Context& context, const EndsShape& ends,
                const TokenPages& tokens, bool means) {
  const size_t all = std::max<size_t>(tokens.rows, 1);
  const auto plan = [&](size_t rows) {
    return PlanHead(gpu, ends.embedding_width, ends.vocab, rows, means);
  };
  const HeadPlan whole = plan(all);
  // Flights are of equal length: those of fewer tokens may be longer.
  const HeadPlan longest = plan(std::min(all, kMostTokens));
  Needs needs = HeadInput::NeedsOf(ends) + HeldFloats(ScratchOf(context, ends.hidden)) +
                Held(whole.pinned_bytes);
  needs.device = gpu.memory().used + std::max(whole.device_bytes, longest.device_bytes);
  return needs;
}

}  // namespace

HeadPlan PlanHead(const CudaDevice& gpu, size_t width, size_t vocab, size_t tokens, bool means) {
  const cuda::MemoryReport memory = gpu.memory();
  const uint64_t room = memory.limit - memory.used;
  const size_t least = std::min(tokens, kLeastTokens);
  HeadPlan plan;
  for (size_t most = std::min(tokens, kMostTokens);; most = std::max((most + 1) / 2, least)) {
    // All flights are about as long: each has its products over as many tokens as the longest.
    plan.passes = (tokens + most - 1) / most;
    plan.flight = (tokens + plan.passes - 1) / plan.passes;
    const BodyBytes bytes = HeadBytes(gpu, ShapeOf(width, vocab, plan.flight, means));
    plan.device_bytes = bytes.device, plan.pinned_bytes = bytes.pinned;
    if (plan.device_bytes <= room) return plan;
    if (most <= least) break;
  }
  ThrowNoRoom("the head", plan.device_bytes, room, "raise --device-memory");
}

TokenScores ScoreTokensOnDevice(const CudaDevice& gpu, Context& context, const EndsSpec& spec,
                                PagedMatrix& hidden, std::span<const int32_t> targets) {
  const size_t tokens = hidden.rows();
  TokenScores scores(tokens);
  if (tokens == 0) return scores;
  HeadOnDevice head(gpu, context, spec, tokens, false);
  auto logits = context.Allocate<float>(head.flight());
  AnnounceFlights(0, tokens, {{&hidden, Access::kRead}});
  for (size_t row = 0; row < tokens; row += head.flight()) {
    const size_t rows = std::min(head.flight(), tokens - row);
    head.Run(hidden, row, rows, targets.empty() ? nullptr : targets.data() + row);
    head.Read({scores.log_sum.data() + row, logits.data(), scores.best.data() + row});
    for (size_t i = 0; i < rows; ++i) {
      if (!targets.empty() && targets[row + i] >= 0) {
        scores.nll[row + i] = scores.log_sum[row + i] - logits.data()[i];
      }
    }
  }
  return scores;
}

Needs ScoreNeedsOnDevice(const CudaDevice& gpu, const Context& context, const EndsShape& ends,
                         const TokenPages& tokens) {
  // Logits of a flight's targets.
  Needs needs = HeadNeeds(gpu, context, ends, tokens, false) +
                HeldFloats(std::min(tokens.rows, kMostTokens)) + tokens.View(ends.hidden);
  needs.float_flops = HeadFlops(ends, tokens.rows);
  return needs;
}

Needs ExpectRowsNeedsOnDevice(const CudaDevice& gpu, const Context& context, const EndsShape& ends,
                              const TokenPages& tokens) {
  return HeadNeeds(gpu, context, ends, tokens, true) +
         tokens.View(ends.hidden).Then(tokens.View(ends.embedding_width));
}

std::vector<double> ExpectRowsOnDevice(const CudaDevice& gpu, Context& context,
                                       const EndsSpec& spec, PagedMatrix& hidden,
                                       PagedMatrix& mean) {
  const size_t tokens = hidden.rows();
  std::vector<double> log_sum(tokens);
  if (tokens == 0) return log_sum;
  HeadOnDevice head(gpu, context, spec, tokens, true);
  for (size_t row = 0; row < tokens; row += head.flight()) {
    const size_t rows = std::min(head.flight(), tokens - row);
    head.Run(hidden, row, rows, nullptr);
    head.Read({.log_sum = log_sum.data() + row});
    head.ReadMeans(row, mean);
  }
  return log_sum;
}

}  // namespace struprune
