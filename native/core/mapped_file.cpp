#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace struprune {
namespace {

[[noreturn]] void FailOpen(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    throw Error("ERR_NOT_FOUND", "there is no file " + path, "check the path");
  }
  if (error == EMFILE || error == ENFILE) {
    throw Error("ERR_BUDGET", "the system gave no more open files",
                "raise the limit, for this shell: `ulimit -n 1024`");
  }
  throw Error("ERR_CHECKPOINT",
              "cannot read " + path + ": " + std::generic_category().message(error),
              "check that the file may be read by this user");
}

uint64_t SizeNow(int descriptor, const std::string& path) {
  struct stat status{};
  if (fstat(descriptor, &status) != 0) FailOpen(path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error("ERR_CHECKPOINT", path + " is not a regular file",
                "give the path of a checkpoint file");
  }
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // Not to wait for a writer when somebody names a pipe.
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) FailOpen(path, errno);
  try {
    size_ = SizeNow(descriptor_, path);
    if (size_ == 0) return;  // mmap refuses an empty range.
    void* address = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (address == MAP_FAILED) FailOpen(path, errno);
    data_ = static_cast<const std::byte*>(address);
  } catch (...) {
    Close();
    throw;
  }
}

MappedFile::~MappedFile() { Close(); }

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    Close();
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    size_ = std::exchange(other.size_, 0);
    data_ = std::exchange(other.data_, nullptr);
  }
  return *this;
}

void MappedFile::Close() noexcept {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
  if (descriptor_ >= 0) close(descriptor_);
  data_ = nullptr;
  descriptor_ = -1;
}

void MappedFile::Read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    throw Error("ERR_CHECKPOINT",
                path_ + ": bytes " + std::to_string(offset) + " to " +
                    std::to_string(offset + out.size()) + " are outside the file of " +
                    std::to_string(size_) + " bytes",
                "fetch the file again");
  }
  while (!out.empty()) {
    const ssize_t got = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) FailOpen(path_, errno);
    if (got == 0) {
      throw Error("ERR_CHECKPOINT", path_ + " was cut while it was being read",
                  "do not write to the checkpoint during a run");
    }
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

}  // namespace struprune
