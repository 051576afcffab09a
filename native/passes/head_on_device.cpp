#include "passes/head_on_device.h"

#include <algorithm>
#include <string>

#include "backend/host_pages.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Tokens at a time: more gain nothing, fewer are not worth a way over the vocabulary.
constexpr size_t kMostTokens = 8192, kLeastTokens = 64;

cuda::HeadSpec SpecOf(const CudaDevice& gpu, size_t width, size_t vocab, bool means) {
  cuda::HeadSpec spec{};
  spec.width = Int(width);
  spec.piece = Int(std::min(kHeadPiece, std::max<size_t>(vocab, 1)));
  spec.mean = means;
  spec.forward = gpu.options().forward;
  return spec;
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
        head_(gpu) {
    gpu.Call(&cuda::Api::head_open, &plan_.spec, head_.out());
    // Sites come before and after it again and again.
    pinned_.Taken(Waiting::kStays);
  }

  size_t flight() const { return plan_.flight; }

  // Rows [row, row + rows) of the hidden states against the whole vocabulary; targets [rows] or
  // null.
  void Run(PagedMatrix& hidden, size_t row, size_t rows, const int32_t* targets) {
    gpu_.Call(&cuda::Api::head_begin, head_.get(), Int(rows), targets);
    for (size_t done = 0; done < rows;) {
      const size_t run = hidden.Run(row + done, rows - done);
      const PagedMatrix::View states(hidden, row + done, run, Access::kRead);
      ForPieces(run, [&](size_t at, size_t count, float* page) {
        OnHost([&] {
          input_.Read(context_, count, states.data() + at * ends_.hidden, scratch_.data(), page);
        });
        gpu_.Call(&cuda::Api::head_tokens, head_.get(), Int(done + at), Int(count));
      });
      done += run;
    }
    ForPieces(ends_.vocab, [&](size_t at, size_t count, float* page) {
      OnHost([&] { LoadVocabulary(context_, ends_, at, count, page); });
      gpu_.Call(&cuda::Api::head_table, head_.get(), Int(count));
    });
  }

  void Read(const cuda::HeadScores& scores) const {
    gpu_.Call(&cuda::Api::head_scores, head_.get(), &scores);
  }

  // Of the flight, whose first row is `row` of `mean`.
  void ReadMeans(size_t row, size_t rows, PagedMatrix& mean) {
    ForPieces(rows, [&](size_t at, size_t count, float* page) {
      gpu_.Call(&cuda::Api::head_means, head_.get(), Int(at), Int(count));
      for (size_t done = 0; done < count;) {
        const size_t run = mean.Run(row + at + done, count - done);
        const PagedMatrix::View view(mean, row + at + done, run, Access::kWrite);
        CopyPage(gpu_, context_, page + done * mean.cols(), view.data(), run * mean.cols());
        done += run;
      }
    });
  }

 private:
  template <typename Visit>
  void ForPieces(size_t total, Visit visit) {
    ForHeadPieces(gpu_, head_.get(), plan_, total, [&](size_t at, size_t count, float* page) {
      context_.CheckAbort();
      visit(at, count, page);
    });
  }

  template <typename Work>
  void OnHost(Work work) const {
    const HostClock clock(gpu_);
    work();
  }

  const CudaDevice& gpu_;
  Context& context_;
  const EndsSpec& ends_;
  const HeadInput input_;
  const HeadPlan plan_;
  const PinnedMemory pinned_;
  Buffer<float> scratch_;
  OnDevice<cuda::Head, &cuda::Api::head_close> head_;
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
  plan.spec = SpecOf(gpu, width, vocab, means);
  for (size_t most = std::min(tokens, kMostTokens);; most = std::max((most + 1) / 2, least)) {
    // All flights are about as long: each has its products over as many tokens as the longest.
    plan.passes = (tokens + most - 1) / most;
    plan.flight = (tokens + plan.passes - 1) / plan.passes;
    plan.spec.flight = Int(plan.flight);
    gpu.Call(&cuda::Api::head_bytes, &plan.spec, &plan.device_bytes, &plan.pinned_bytes);
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
    head.Read({log_sum.data() + row, nullptr, nullptr});
    head.ReadMeans(row, rows, mean);
  }
  return log_sum;
}

}  // namespace struprune
