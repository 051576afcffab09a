// Processes that share a run, and what they tell each other (docs/decisions/0035). All of them make
// the same exchanges in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/error.h"

namespace struprune {

// Of a rank so far.
struct Traffic {
  uint64_t sent = 0;   // bytes
  uint64_t sums = 0;   // bytes of them that are sums over tokens, as Needs::sent counts them
  double seconds = 0;  // in which it sent, or waited for others
};

class Team {
 public:
  virtual ~Team() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Returns when the bytes may change again.
  void Send(int to, std::span<const std::byte> bytes);
  // As many bytes as were sent.
  void Receive(int from, std::span<std::byte> bytes);

  // Whether a vote has ended the call that runs (Agree): nothing more is exchanged in it.
  bool ended = false;
  Traffic traffic;

 private:
  virtual void SendAll(int to, std::span<const std::byte> bytes) = 0;
  virtual void ReceiveAll(int from, std::span<std::byte> bytes) = 0;
};

using Message = std::vector<std::byte>;

// That of `root`, on every rank.
Message Broadcast(Team& team, int root, Message message);

// The objection of the lowest rank that has one, on every rank; empty where none has.
Message Vote(Team& team, Message objection);

// A vote on whether to go on. Throws the objection of the lowest rank that has one, on all the
// others.
void Agree(Team& team, const std::optional<Error>& objection = std::nullopt);

}  // namespace struprune
