#include "team/team.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace struprune {
namespace {

template <typename Work>
double Timed(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

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

// The rank, and what an error says, a zero behind each part.
Message MessageOf(int rank, const Error& error) {
  std::string text;
  for (const std::string& part :
       {std::to_string(rank), error.code(), std::string(error.what()), error.mend()}) {
    text.append(part).push_back('\0');
  }
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string TakePart(std::string_view& text) {
  const std::string part(text.substr(0, text.find('\0')));
  text.remove_prefix(part.size() + 1);
  return part;
}

}  // namespace

void Team::Send(int to, std::span<const std::byte> bytes) {
  traffic.seconds += Timed([&] { SendAll(to, bytes); });
  traffic.sent += bytes.size();
}

void Team::Receive(int from, std::span<std::byte> bytes) {
  traffic.seconds += Timed([&] { ReceiveAll(from, bytes); });
}

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

void Agree(Team& team, const std::optional<Error>& objection) {
  const Message verdict = Vote(team, objection ? MessageOf(team.rank(), *objection) : Message());
  if (verdict.empty()) return;
  team.ended = true;
  std::string_view text(reinterpret_cast<const char*>(verdict.data()), verdict.size());
  const std::string rank = TakePart(text), code = TakePart(text), found = TakePart(text);
  if (rank == std::to_string(team.rank())) return;
  throw Error(code, rank == "0" ? found : "rank " + rank + ": " + found, TakePart(text));
}

}  // namespace struprune
