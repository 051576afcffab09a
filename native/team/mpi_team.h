// The ranks that a launcher of MPI has started.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "team/mpi_library.h"
#include "team/team.h"

namespace struprune {

class MpiTeam final : public Team {
 public:
  // Opens and initialises MPI, once in a process. Throws ERR_NOT_FOUND, ERR_ARGUMENT,
  // ERR_UNSUPPORTED.
  static std::shared_ptr<MpiTeam> Join();

  // The end of MPI in this process, for good; `settled` = false: of all ranks, since they may wait
  // for this one.
  void Leave(bool settled);

  // The library, for people.
  std::string Describe() const { return mpi_.path + ", " + mpi_.Version(); }

  // A call begins, on every rank: the next one.
  void BeginCall();

  // Tells all other ranks that the call of this one has ended by an error, which it votes for next.
  void Warn();
  // Whether another rank has told so of this call.
  bool IsWarned();

  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  explicit MpiTeam(MpiLibrary mpi);
  void SendAll(int to, std::span<const std::byte> bytes) override;
  void ReceiveAll(int from, std::span<std::byte> bytes) override;
  // Starts a transfer by `start(request)` and waits for its end.
  template <typename Start>
  void Transfer(Start start);
  void SendWith(int tag, int to, std::span<const std::byte> bytes);
  void ReceiveWith(int tag, int from, std::span<std::byte> bytes);

  MpiLibrary mpi_;
  int rank_ = 0, size_ = 0;
  bool left_ = false;
  uint64_t call_ = 0;
  bool warned_ = false;
  std::mutex calls_;  // MPI_THREAD_SERIALIZED: one at a time, of any thread
};

}  // namespace struprune
