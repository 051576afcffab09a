#include "core/scratch_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace struprune {
namespace {

Error ScratchError(const std::string& folder, const std::string& what, int error) {
  return Error("ERR_SCRATCH", "scratch file in " + folder + ": " + what + ": " + strerror(error),
               "free space there, or name a folder on a larger disk: --scratch, or TMPDIR where "
               "there is none");
}

constexpr uint64_t kMostFresh = uint64_t{8} << 20;

// Where the file system makes no file without a name, the name goes at once.
int OpenNameless(const std::string& folder) {
#ifdef O_TMPFILE
  const int nameless = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (nameless >= 0) return nameless;
#endif
  std::string path = folder + "/struprune-scratch-XXXXXX";
  const int file = mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) throw ScratchError(folder, "cannot be made", errno);
  unlink(path.c_str());
  return file;
}

// Other systems than Linux have no such calls; there the cache is left to itself.
#ifdef __linux__
void StartWriting(int file, uint64_t offset, uint64_t bytes) {
  sync_file_range(file, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  SYNC_FILE_RANGE_WRITE);
}

void FinishWriting(int file, uint64_t offset, uint64_t bytes) {
  sync_file_range(file, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

void Drop(int file, uint64_t offset, uint64_t bytes) {
  posix_fadvise(file, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
}
#else
void StartWriting(int, uint64_t, uint64_t) {}
void FinishWriting(int, uint64_t, uint64_t) {}
void Drop(int, uint64_t, uint64_t) {}
#endif

}  // namespace

ScratchFile::ScratchFile(std::string folder)
    : folder_(std::move(folder)), file_(OpenNameless(folder_)) {}

ScratchFile::~ScratchFile() { close(file_); }

void ScratchFile::Read(uint64_t offset, std::span<std::byte> bytes) const {
  const Range whole{offset, bytes.size()};
  while (!bytes.empty()) {
    const ssize_t got = pread(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw ScratchError(folder_, "read", got < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  Drop(file_, whole.offset, whole.bytes);
}

void ScratchFile::Write(uint64_t offset, std::span<const std::byte> bytes) {
  const Range whole{offset, bytes.size()};
  while (!bytes.empty()) {
    const ssize_t put = pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw ScratchError(folder_, "write", put < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  Uncache(whole);
}

void ScratchFile::Uncache(Range written) {
  StartWriting(file_, written.offset, written.bytes);
  std::unique_lock lock(mutex_);
  fresh_.push_back(written);
  fresh_bytes_ += written.bytes;
  while (fresh_bytes_ > kMostFresh) {
    const Range oldest = fresh_.front();
    fresh_.pop_front();
    fresh_bytes_ -= oldest.bytes;
    lock.unlock();
    FinishWriting(file_, oldest.offset, oldest.bytes);
    Drop(file_, oldest.offset, oldest.bytes);
    lock.lock();
  }
}

void ScratchFile::Truncate(uint64_t bytes) noexcept {
  [[maybe_unused]] const int failed = ftruncate(file_, static_cast<off_t>(bytes));
}

}  // namespace struprune
