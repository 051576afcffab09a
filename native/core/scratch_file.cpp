#include "core/scratch_file.h"

#include <system_error>
#include <utility>

#include "core/error.h"

namespace struprune {
namespace {

constexpr uint64_t kMostFresh = uint64_t{8} << 20;

Error ScratchError(const std::string& folder, const std::string& what,
                   const std::error_code& code) {
  return Error("ERR_SCRATCH", "scratch file in " + folder + ": " + what + ": " + code.message(),
               "free space there, or name a folder on a larger disk: --scratch, or TMPDIR where "
               "there is none");
}

// work() with what the system refuses as an error of the scratch file.
template <typename Work>
auto Doing(const char* what, const std::string& folder, Work work) {
  try {
    return work();
  } catch (const std::system_error& error) {
    throw ScratchError(folder, what, error.code());
  }
}

}  // namespace

ScratchFile::ScratchFile(std::string folder)
    : folder_(std::move(folder)),
      file_(Doing("cannot be made", folder_, [&] { return os::File::MakeNameless(folder_); })) {}

void ScratchFile::Read(uint64_t offset, std::span<std::byte> bytes) const {
  const size_t got = Doing("read", folder_, [&] { return file_.Read(offset, bytes); });
  if (got < bytes.size()) {
    throw ScratchError(folder_, "read", std::make_error_code(std::errc::io_error));
  }
  file_.DropCached(offset, bytes.size());
}

void ScratchFile::Write(uint64_t offset, std::span<const std::byte> bytes) {
  Doing("write", folder_, [&] { file_.Write(offset, bytes); });
  Uncache({offset, bytes.size()});
}

void ScratchFile::Uncache(Range written) {
  file_.StartWriting(written.offset, written.bytes);
  std::unique_lock lock(mutex_);
  fresh_.push_back(written);
  fresh_bytes_ += written.bytes;
  while (fresh_bytes_ > kMostFresh) {
    const Range oldest = fresh_.front();
    fresh_.pop_front();
    fresh_bytes_ -= oldest.bytes;
    lock.unlock();
    file_.FinishWriting(oldest.offset, oldest.bytes);
    file_.DropCached(oldest.offset, oldest.bytes);
    lock.lock();
  }
}

void ScratchFile::Truncate(uint64_t bytes) noexcept {
  try {
    file_.Truncate(bytes);
  } catch (const std::system_error&) {
  }
}

}  // namespace struprune
