// A file that is only read: its header by a memory map, whose pages come in when they are touched,
// and its weights by copies.
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
  // The whole file as mapped, without a look at whether it still has its length.
  std::span<const std::byte> bytes() const { return {data_, static_cast<size_t>(size_)}; }

  // Copies the bytes from `offset` on, without the map: a page that is touched there counts as
  // memory of the process, and brings its neighbours along. Throws ERR_CHECKPOINT when they do not
  // lie inside, or the file was cut since it was opened.
  void Read(uint64_t offset, std::span<std::byte> out) const;

 private:
  void Close() noexcept;

  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  const std::byte* data_ = nullptr;
};

}  // namespace struprune
