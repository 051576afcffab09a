#include "core/mapped_file.h"

#include <system_error>

#include "core/error.h"

namespace struprune {
namespace {

Error ReadError(const std::string& path, const std::error_code& code) {
  if (code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory) {
    return Error("ERR_NOT_FOUND", "there is no file " + path, "check the path");
  }
  if (code == std::errc::too_many_files_open || code == std::errc::too_many_files_open_in_system) {
    return Error("ERR_BUDGET", "the system gave no more open files",
                 "raise the limit, for this shell: `ulimit -n 1024`");
  }
  // A file takes as much address space as it has bytes.
  if (code == std::errc::not_enough_memory) {
    return Error("ERR_BUDGET", "the system gave no more memory to map " + path,
                 "raise the limit on address space, for this shell: `ulimit -v unlimited`");
  }
  return Error("ERR_CHECKPOINT", "cannot read " + path + ": " + code.message(),
               "check that the file may be read by this user");
}

// work() with what the system refuses as an error of the file.
template <typename Work>
auto Reading(const std::string& path, Work work) {
  try {
    return work();
  } catch (const std::system_error& error) {
    throw ReadError(path, error.code());
  }
}

uint64_t SizeOf(const os::File& file, const std::string& path) {
  if (file.IsRegular()) return file.Size();
  throw Error("ERR_CHECKPOINT", path + " is not a regular file",
              "give the path of a checkpoint file");
}

}  // namespace

MappedFile::MappedFile(const std::string& path)
    : path_(path),
      file_(Reading(path, [&] { return os::File::Open(path); })),
      map_(Reading(path, [&] { return os::Mapping(file_, SizeOf(file_, path)); })) {}

void MappedFile::Read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size() || out.size() > size() - offset) {
    throw Error("ERR_CHECKPOINT",
                path_ + ": bytes " + std::to_string(offset) + " to " +
                    std::to_string(offset + out.size()) + " are outside the file of " +
                    std::to_string(size()) + " bytes",
                "fetch the file again");
  }
  if (Reading(path_, [&] { return file_.Read(offset, out); }) < out.size()) {
    throw Error("ERR_CHECKPOINT", path_ + " was cut while it was being read",
                "do not write to the checkpoint during a run");
  }
}

}  // namespace struprune
