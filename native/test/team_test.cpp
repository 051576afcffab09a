#include "team/team.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace struprune {
namespace {

// Bytes on their way from one rank to another.
class Post {
 public:
  void Put(std::pair<int, int> way, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    ways_[way].insert(ways_[way].end(), bytes.begin(), bytes.end());
    arrived_.notify_all();
  }
  void Take(std::pair<int, int> way, std::span<std::byte> bytes) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return ways_[way].size() >= bytes.size(); });
    auto& there = ways_[way];
    std::copy_n(there.begin(), bytes.size(), bytes.begin());
    there.erase(there.begin(), there.begin() + static_cast<ptrdiff_t>(bytes.size()));
  }
  bool empty() const {
    return std::all_of(ways_.begin(), ways_.end(), [](auto& way) { return way.second.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::pair<int, int>, std::deque<std::byte>> ways_;
};

// Ranks that are threads of this process.
class ThreadTeam final : public Team {
 public:
  ThreadTeam(Post& post, int rank, int size) : post_(post), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void Send(int to, std::span<const std::byte> bytes) override { post_.Put({rank_, to}, bytes); }
  void Receive(int from, std::span<std::byte> bytes) override { post_.Take({from, rank_}, bytes); }

 private:
  Post& post_;
  const int rank_, size_;
};

Message MessageOf(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string TextOf(const Message& message) {
  return {reinterpret_cast<const char*>(message.data()), message.size()};
}

// What every rank has of an exchange.
std::vector<std::string> OnRanks(int size, const std::function<Message(Team&)>& exchange) {
  Post post;
  std::vector<std::string> given(static_cast<size_t>(size));
  {
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < size; ++rank) {
      ranks.emplace_back([&, rank] {
        ThreadTeam team(post, rank, size);
        given[static_cast<size_t>(rank)] = TextOf(exchange(team));
      });
    }
  }
  EXPECT_TRUE(post.empty());
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
