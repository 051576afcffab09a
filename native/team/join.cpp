#include "team/join.h"

#include <algorithm>
#include <exception>
#include <span>

#include "team/team.h"

namespace struprune {

Needs JoinNeeds(const Share& share, size_t largest_piece, size_t all) {
  if (share.ranks == 1) return {};
  Needs needs = HeldDoubles(largest_piece);
  const size_t ways = (share.rank > 0 ? 1 : 0) + (share.rank + 1 < share.ranks ? 1 : 0);
  needs.sent = static_cast<double>(ways * all * sizeof(double));
  return needs;
}

uint64_t JoinRanks(Context& context, const Share& share, const Pieces& pieces) {
  Team& team = *share.team;
  const size_t most = pieces.sizes.empty() ? 0 : std::ranges::max(pieces.sizes);
  auto buffer = context.Allocate<double>(most);
  context.CheckAbort();
  Agree(team);
  const uint64_t before = team.traffic.sent;
  // From here on every rank sends what the others wait for, whatever happens to it.
  std::exception_ptr failure;
  const auto attempt = [&](const auto& step) {
    try {
      if (!failure) step();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  const int rank = team.rank(), last = team.size() - 1;
  // Pieces follow each other along the ranks: all of them up, and then all of them down.
  const auto each = [&](const auto& move) {
    for (size_t piece = 0; piece < pieces.sizes.size(); ++piece) {
      const std::span<double> values(buffer.data(), pieces.sizes[piece]);
      move(piece, values, std::as_writable_bytes(values));
    }
  };
  const auto own = [&](size_t piece, std::span<double> values) {
    std::ranges::fill(values, 0.0);
    attempt([&] { pieces.add(piece, values.data()); });
  };
  each([&](size_t piece, std::span<double> values, std::span<std::byte> bytes) {
    if (rank == 0) {
      own(piece, values);
    } else {
      team.Receive(rank - 1, bytes);
      attempt([&] { pieces.add(piece, values.data()); });
    }
    if (rank < last) {
      team.Send(rank + 1, bytes);
    } else {
      attempt([&] { pieces.store(piece, values.data()); });
    }
  });
  attempt(pieces.become_total);
  each([&](size_t piece, std::span<double> values, std::span<std::byte> bytes) {
    if (rank == last) {
      own(piece, values);
    } else {
      team.Receive(rank + 1, bytes);
      attempt([&] { pieces.store(piece, values.data()); });
    }
    if (rank > 0) team.Send(rank - 1, bytes);
  });
  if (failure) std::rethrow_exception(failure);
  return team.traffic.sent - before;
}

}  // namespace struprune
