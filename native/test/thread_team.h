// Ranks that are threads of one process.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "team/team.h"

namespace struprune::test {

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

class ThreadTeam final : public Team {
 public:
  ThreadTeam(Post& post, int rank, int size) : post_(post), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  void SendAll(int to, std::span<const std::byte> bytes) override { post_.Put({rank_, to}, bytes); }
  void ReceiveAll(int from, std::span<std::byte> bytes) override {
    post_.Take({from, rank_}, bytes);
  }
  Post& post_;
  const int rank_, size_;
};

// Runs all ranks to their ends; nothing may be left on its way.
inline void RunRanks(int size, const std::function<void(Team&)>& run) {
  Post post;
  {
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < size; ++rank) {
      ranks.emplace_back([&, rank] {
        ThreadTeam team(post, rank, size);
        run(team);
      });
    }
  }
  EXPECT_TRUE(post.empty());
}

}  // namespace struprune::test
