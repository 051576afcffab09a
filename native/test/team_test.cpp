#include "team/team.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "expect_error.h"
#include "thread_team.h"

namespace struprune {
namespace {

Message MessageOf(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string TextOf(const Message& message) {
  return {reinterpret_cast<const char*>(message.data()), message.size()};
}

// What every rank has of an exchange.
std::vector<std::string> OnRanks(int size, const std::function<Message(Team&)>& exchange) {
  std::vector<std::string> given(static_cast<size_t>(size));
  test::RunRanks(
      size, [&](Team& team) { given[static_cast<size_t>(team.rank())] = TextOf(exchange(team)); });
  return given;
}

std::vector<std::string> Everywhere(int size, const std::string& text) {
  return std::vector<std::string>(static_cast<size_t>(size), text);
}

TEST(TeamTest, ABroadcastGivesAllRanksTheRootsMessage) {
  for (int size = 1; size <= 9; ++size) {
    for (int root = 0; root < size; ++root) {
      const auto own = [](Team& team) { return MessageOf("of " + std::to_string(team.rank())); };
      EXPECT_EQ(OnRanks(size, [&](Team& team) { return Broadcast(team, root, own(team)); }),
                Everywhere(size, "of " + std::to_string(root)));
    }
  }
}

TEST(TeamTest, AnEmptyMessageIsOneToo) {
  EXPECT_EQ(OnRanks(5, [](Team& team) { return Broadcast(team, 3, {}); }), Everywhere(5, ""));
}

TEST(TeamTest, AVoteEndsWithTheFirstRanksObjection) {
  for (int size = 1; size <= 9; ++size) {
    EXPECT_EQ(OnRanks(size, [](Team& team) { return Vote(team, {}); }), Everywhere(size, ""));
    for (int first = 0; first < size; ++first) {
      const auto objection = [&](int rank) {
        return rank < first || rank == first + 1 ? Message() : MessageOf(std::to_string(rank));
      };
      EXPECT_EQ(OnRanks(size, [&](Team& team) { return Vote(team, objection(team.rank())); }),
                Everywhere(size, std::to_string(first)));
    }
  }
}

TEST(TeamTest, AnObjectionIsThrownOnAllOtherRanks) {
  test::RunRanks(4, [](Team& team) {
    EXPECT_NO_THROW(Agree(team));
    EXPECT_FALSE(team.ended);
    const bool objects = team.rank() >= 2;
    const Error own("ERR_SCRATCH", "of " + std::to_string(team.rank()), "free some");
    if (team.rank() == 2) {
      EXPECT_NO_THROW(Agree(team, own));
    } else {
      test::ExpectError([&] { objects ? Agree(team, own) : Agree(team); }, "ERR_SCRATCH",
                        "rank 2: of 2");
    }
    EXPECT_TRUE(team.ended);
  });
}

TEST(TeamTest, ExchangesFollowEachOther) {
  const auto both = [](Team& team) {
    Message all;
    for (int root = 0; root < team.size(); ++root) {
      Vote(team, {});
      const Message one = Broadcast(team, root, MessageOf(std::to_string(team.rank())));
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  };
  EXPECT_EQ(OnRanks(6, both), Everywhere(6, "012345"));
}

}  // namespace
}  // namespace struprune
