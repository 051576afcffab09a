// Sums over tokens that ranks share, joined in the one order of their segments
// (docs/decisions/0060): the sum so far goes from rank to rank, each of which adds its own segments
// to it, and the whole comes back the same way. What it comes to does not depend on who has which
// of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/context.h"
#include "core/needs.h"
#include "core/segments.h"

namespace struprune {

// What of a rank travels, piece by piece.
struct Pieces {
  std::vector<size_t> sizes;                                     // doubles of each
  std::function<void(size_t piece, double* to)> add;             // to += all that the rank has
  std::function<void(size_t piece, const double* total)> store;  // the sum of all ranks
  std::function<void()> become_total;  // from here on the rank has what was stored, and no more
};

// The doubles of the piece at hand, and as many of all as a rank sends: to the one after it and to
// the one before. Nothing for one alone.
Needs JoinNeeds(const Share& share, size_t largest_piece, size_t all);

// Bytes that this rank has sent. Throws what ended the call on another rank before anything is
// sent. What fails on this one later is thrown when the others have what they wait for.
uint64_t JoinRanks(Context& context, const Share& share, const Pieces& pieces);

// The same of a few numbers, in the place of sums.Total().
template <typename Sum>
Sum JoinedTotal(Context& context, const Share& share, SegmentSums<Sum>& sums) {
  static_assert(sizeof(Sum) % sizeof(double) == 0);
  constexpr size_t kCount = sizeof(Sum) / sizeof(double);
  if (share.team) {
    const auto add = [&](size_t, double* to) {
      for (const Sum& part : sums.Parts()) {
        const auto* const values = reinterpret_cast<const double*>(&part);
        for (size_t i = 0; i < kCount; ++i) to[i] += values[i];
      }
    };
    const auto store = [&](size_t, const double* total) {
      std::copy_n(total, kCount, reinterpret_cast<double*>(&sums.Parts().front()));
    };
    JoinRanks(context, share, {{kCount}, add, store, [&] { sums.BecomeTotal(); }});
  }
  return sums.Total();
}

}  // namespace struprune
