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
               "free space there or name a folder on a larger disk with --scratch");
}

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

}  // namespace

ScratchFile::ScratchFile(std::string folder)
    : folder_(std::move(folder)), file_(OpenNameless(folder_)) {}

ScratchFile::~ScratchFile() { close(file_); }

void ScratchFile::Read(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = pread(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw ScratchError(folder_, "read", got < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

void ScratchFile::Write(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw ScratchError(folder_, "write", put < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
}

void ScratchFile::Truncate(uint64_t bytes) {
  if (ftruncate(file_, static_cast<off_t>(bytes)) != 0) {
    throw ScratchError(folder_, "cannot be cut", errno);
  }
}

}  // namespace struprune
