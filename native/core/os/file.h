// Open files. What fails throws std::system_error, whose code compares with std::errc. Paths are
// UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace struprune::os {

class File {
 public:
  // To be read. Others may write to it, remove it and rename it meanwhile; of a pipe no writer is
  // waited for.
  static File Open(const std::string& path);
  // To be read and written, without a name: nothing is left behind, however the process ends.
  static File MakeNameless(const std::string& folder);
  ~File();
  File(File&& other) noexcept : handle_(std::exchange(other.handle_, kNone)) {}
  File& operator=(File&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool IsRegular() const;
  uint64_t Size() const;

  // Several threads may read and write ranges that do not overlap.
  //
  // Fills `bytes` from `offset` on; returns how many there were before the file's end.
  size_t Read(uint64_t offset, std::span<std::byte> bytes) const;
  void Write(uint64_t offset, std::span<const std::byte> bytes);
  void Truncate(uint64_t bytes);

  // The system's cache of a range: its way to the disk begins, has ended, what is clean is given
  // back. Where there are no such calls the cache is left to itself.
  void StartWriting(uint64_t offset, uint64_t bytes) const noexcept;
  void FinishWriting(uint64_t offset, uint64_t bytes) const noexcept;
  void DropCached(uint64_t offset, uint64_t bytes) const noexcept;

 private:
  friend class Mapping;
  explicit File(intptr_t handle) : handle_(handle) {}

  static constexpr intptr_t kNone = -1;
  intptr_t handle_ = kNone;
};

// The first bytes of a file as memory that is only read. It may outlive the File.
class Mapping {
 public:
  Mapping() = default;
  Mapping(const File& file, uint64_t bytes);
  ~Mapping();
  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

bool Exists(const std::string& path);

}  // namespace struprune::os
