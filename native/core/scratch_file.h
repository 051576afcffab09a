// A file without a name for what memory does not hold: nothing is left behind, however the process
// ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace struprune {

class ScratchFile {
 public:
  // Throws ERR_SCRATCH, as all of its members do, naming the folder.
  explicit ScratchFile(std::string folder);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& folder() const { return folder_; }

  // Several threads may read and write ranges that do not overlap.
  void Read(uint64_t offset, std::span<std::byte> bytes) const;
  void Write(uint64_t offset, std::span<const std::byte> bytes);
  // Cuts the file: its space beyond `bytes` goes back to the disk.
  void Truncate(uint64_t bytes);

 private:
  std::string folder_;
  int file_ = -1;
};

}  // namespace struprune
