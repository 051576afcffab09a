// A read-only memory map of a whole file. Pages come in when they are touched, so that opening a
// checkpoint costs no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace struprune {

class MappedFile {
 public:
  // Throws ERR_NOT_FOUND when there is no such file, ERR_CHECKPOINT when it cannot be read or is
  // not a regular file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  // The whole file, without a look at whether it still has its length.
  std::span<const std::byte> bytes() const { return {data_, static_cast<size_t>(size_)}; }

  // A range of the file. Throws ERR_CHECKPOINT when it does not lie inside, or when the file was
  // cut since it was opened: touching a page past the end would kill the process.
  std::span<const std::byte> Range(uint64_t offset, uint64_t bytes) const;

  // Gives the resident pages that lie wholly inside the range back to the system. Reading them
  // again is allowed and brings them back from the disk.
  void Drop(uint64_t offset, uint64_t bytes) const;

 private:
  void Close() noexcept;

  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  const std::byte* data_ = nullptr;
};

}  // namespace struprune
