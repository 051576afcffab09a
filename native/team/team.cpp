#include "team/team.h"

#include <cstdint>
#include <optional>
#include <utility>

namespace struprune {
namespace {

// A rank's place in the binomial tree of all ranks, counted from the root.
struct TreePlace {
  std::optional<int> parent;  // none: it is the root
  std::vector<int> children;  // each with ranks above those of the one before
};

TreePlace PlaceInTree(const Team& team, int root) {
  const int size = team.size(), from_root = (team.rank() - root + size) % size;
  const auto at = [&](int distance) { return (distance + root) % size; };
  TreePlace place;
  for (int step = 1; step < size; step *= 2) {
    if (from_root & step) {
      place.parent = at(from_root - step);
      break;
    }
    if (from_root + step < size) place.children.push_back(at(from_root + step));
  }
  return place;
}

void SendMessage(Team& team, int to, const Message& message) {
  const uint64_t size = message.size();
  team.Send(to, std::as_bytes(std::span(&size, 1)));
  team.Send(to, message);
}

Message ReceiveMessage(Team& team, int from) {
  uint64_t size = 0;
  team.Receive(from, std::as_writable_bytes(std::span(&size, 1)));
  Message message(size);
  team.Receive(from, message);
  return message;
}

}  // namespace

Message Broadcast(Team& team, int root, Message message) {
  const TreePlace place = PlaceInTree(team, root);
  if (place.parent) message = ReceiveMessage(team, *place.parent);
  for (const int child : place.children) SendMessage(team, child, message);
  return message;
}

Message Vote(Team& team, Message objection) {
  const TreePlace place = PlaceInTree(team, 0);
  for (const int child : place.children) {
    Message theirs = ReceiveMessage(team, child);
    if (objection.empty()) objection = std::move(theirs);
  }
  if (place.parent) SendMessage(team, *place.parent, objection);
  return Broadcast(team, 0, std::move(objection));
}

}  // namespace struprune
