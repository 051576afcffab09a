#include "core/os/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace struprune::os {
namespace {

[[noreturn]] void Fail(int error = errno) {
  throw std::system_error(error, std::generic_category());
}

struct stat StatusOf(int file) {
  struct stat status{};
  if (fstat(file, &status) != 0) Fail();
  return status;
}

int Descriptor(intptr_t handle) { return static_cast<int>(handle); }

}  // namespace

File File::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) Fail();
  return File(file);
}

// Where the file system makes no file without a name, the name goes at once.
File File::MakeNameless(const std::string& folder) {
#ifdef O_TMPFILE
  const int nameless = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (nameless >= 0) return File(nameless);
#endif
  std::string path = folder + "/struprune-scratch-XXXXXX";
  const int file = mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) Fail();
  unlink(path.c_str());
  return File(file);
}

File::~File() {
  if (handle_ != kNone) close(Descriptor(handle_));
}

bool File::IsRegular() const { return S_ISREG(StatusOf(Descriptor(handle_)).st_mode); }

uint64_t File::Size() const { return static_cast<uint64_t>(StatusOf(Descriptor(handle_)).st_size); }

size_t File::Read(uint64_t offset, std::span<std::byte> bytes) const {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = pread(Descriptor(handle_), bytes.data() + done, bytes.size() - done,
                              static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) Fail();
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void File::Write(uint64_t offset, std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = pwrite(Descriptor(handle_), bytes.data() + done, bytes.size() - done,
                               static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) Fail(put < 0 ? errno : ENOSPC);
    done += static_cast<size_t>(put);
  }
}

void File::Truncate(uint64_t bytes) {
  if (ftruncate(Descriptor(handle_), static_cast<off_t>(bytes)) != 0) Fail();
}

#ifdef __linux__
void File::StartWriting(uint64_t offset, uint64_t bytes) const noexcept {
  sync_file_range(Descriptor(handle_), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  SYNC_FILE_RANGE_WRITE);
}

void File::FinishWriting(uint64_t offset, uint64_t bytes) const noexcept {
  sync_file_range(Descriptor(handle_), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

void File::DropCached(uint64_t offset, uint64_t bytes) const noexcept {
  posix_fadvise(Descriptor(handle_), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                POSIX_FADV_DONTNEED);
}
#else
void File::StartWriting(uint64_t, uint64_t) const noexcept {}
void File::FinishWriting(uint64_t, uint64_t) const noexcept {}
void File::DropCached(uint64_t, uint64_t) const noexcept {}
#endif

Mapping::Mapping(const File& file, uint64_t bytes) {
  if (bytes == 0) return;  // mmap refuses an empty range.
  void* address = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, Descriptor(file.handle_), 0);
  if (address == MAP_FAILED) Fail();
  bytes_ = {static_cast<const std::byte*>(address), bytes};
}

Mapping::~Mapping() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace struprune::os
