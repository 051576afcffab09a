#include "team/mpi_team.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "core/error.h"

namespace struprune {
namespace {

constexpr size_t kPiece = size_t{64} << 20;
constexpr int kTag = 0, kWarning = 1;

// Between two looks at a transfer: short at first, and longer where it takes long, so that a rank
// that waits for hours leaves its core to others.
constexpr std::chrono::microseconds kShortestNap{20}, kLongestNap{5000};

template <typename Span, typename Move>
void InPieces(Span bytes, Move move) {
  for (size_t from = 0; from < bytes.size(); from += kPiece) {
    move(bytes.subspan(from, std::min(kPiece, bytes.size() - from)));
  }
}

}  // namespace

std::shared_ptr<MpiTeam> MpiTeam::Join() {
  static std::mutex mutex;
  static std::shared_ptr<MpiTeam> joined;
  const std::lock_guard lock(mutex);
  if (!joined) joined.reset(new MpiTeam(MpiLibrary::Open()));
  if (joined->left_) {
    throw Error("ERR_ARGUMENT", "MPI has ended in this process", "start another for another team");
  }
  return joined;
}

MpiTeam::MpiTeam(MpiLibrary mpi) : mpi_(std::move(mpi)) {
  const auto& [world, byte, status, serialized] = mpi_.constants;
  int provided = 0;
  mpi_.Init_thread(nullptr, nullptr, serialized, &provided);
  if (provided < serialized) {
    throw Error("ERR_UNSUPPORTED", mpi_.path + " takes calls of one thread alone",
                "name an MPI with MPI_THREAD_SERIALIZED in STRUPRUNE_MPI");
  }
  mpi_.Comm_rank(world, &rank_);
  mpi_.Comm_size(world, &size_);
}

void MpiTeam::Leave(bool settled) {
  const std::lock_guard lock(calls_);
  left_ = true;
  if (settled) {
    mpi_.Finalize();
  } else {
    mpi_.Abort(mpi_.constants.world, 1);
  }
}

template <typename Start>
void MpiTeam::Transfer(Start start) {
  MpiHandle request = 0;
  int done = 0;
  {
    const std::lock_guard lock(calls_);
    start(&request);
  }
  for (auto nap = kShortestNap;; nap = std::min(nap + nap / 2, kLongestNap)) {
    {
      const std::lock_guard lock(calls_);
      mpi_.Test(&request, &done, mpi_.constants.status_ignore);
    }
    if (done) return;
    std::this_thread::sleep_for(nap);
  }
}

void MpiTeam::SendWith(int tag, int to, std::span<const std::byte> bytes) {
  InPieces(bytes, [&](std::span<const std::byte> piece) {
    Transfer([&](MpiHandle* request) {
      mpi_.Isend(piece.data(), static_cast<int>(piece.size()), mpi_.constants.byte, to, tag,
                 mpi_.constants.world, request);
    });
  });
}

void MpiTeam::ReceiveWith(int tag, int from, std::span<std::byte> bytes) {
  InPieces(bytes, [&](std::span<std::byte> piece) {
    Transfer([&](MpiHandle* request) {
      mpi_.Irecv(piece.data(), static_cast<int>(piece.size()), mpi_.constants.byte, from, tag,
                 mpi_.constants.world, request);
    });
  });
}

void MpiTeam::SendAll(int to, std::span<const std::byte> bytes) { SendWith(kTag, to, bytes); }

void MpiTeam::ReceiveAll(int from, std::span<std::byte> bytes) { ReceiveWith(kTag, from, bytes); }

void MpiTeam::BeginCall() {
  ended = false;
  warned_ = false;
  ++call_;
}

void MpiTeam::Warn() {
  for (int to = 0; to < size_; ++to) {
    if (to != rank_) SendWith(kWarning, to, std::as_bytes(std::span(&call_, 1)));
  }
}

bool MpiTeam::IsWarned() {
  for (int from = 0; from < size_; ++from) {
    if (from == rank_) continue;
    for (;;) {
      int there = 0;
      {
        const std::lock_guard lock(calls_);
        if (left_) return warned_;
        mpi_.Iprobe(from, kWarning, mpi_.constants.world, &there, mpi_.constants.status_ignore);
      }
      if (!there) break;
      uint64_t call = 0;
      ReceiveWith(kWarning, from, std::as_writable_bytes(std::span(&call, 1)));
      // That of an earlier call came too late for it.
      warned_ = warned_ || call == call_;
    }
  }
  return warned_;
}

}  // namespace struprune
