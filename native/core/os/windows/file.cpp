#include "core/os/file.h"

#include <algorithm>
#include <atomic>

#include "core/os/windows/calls.h"

namespace struprune::os {
namespace {

constexpr DWORD kShared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
// Of one call, which counts in 32 bits.
constexpr size_t kMostBytes = size_t{1} << 30;

// A name that no other process has, and no other file of this one.
std::string NewName() {
  static std::atomic<uint64_t> count{0};
  return "struprune-scratch-" + std::to_string(GetCurrentProcessId()) + "-" +
         std::to_string(GetTickCount64()) + "-" + std::to_string(count++);
}

intptr_t Opened(HANDLE handle) {
  if (handle == INVALID_HANDLE_VALUE) Fail();
  return reinterpret_cast<intptr_t>(handle);
}

}  // namespace

// With the flag that opens folders too: IsRegular tells them apart.
File File::Open(const std::string& path) {
  return File(Opened(CreateFileW(LongPath(path).c_str(), GENERIC_READ, kShared, nullptr,
                                 OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr)));
}

File File::MakeNameless(const std::string& folder) {
  return File(Opened(CreateFileW(
      LongPath(folder + "\\" + NewName()).c_str(), GENERIC_READ | GENERIC_WRITE | DELETE,
      FILE_SHARE_DELETE, nullptr, CREATE_NEW,
      FILE_ATTRIBUTE_TEMPORARY | FILE_ATTRIBUTE_HIDDEN | FILE_FLAG_DELETE_ON_CLOSE, nullptr)));
}

File::~File() {
  if (handle_ != kNone) CloseHandle(AsHandle(handle_));
}

bool File::IsRegular() const {
  BY_HANDLE_FILE_INFORMATION found{};
  return GetFileType(AsHandle(handle_)) == FILE_TYPE_DISK &&
         GetFileInformationByHandle(AsHandle(handle_), &found) &&
         (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

uint64_t File::Size() const {
  LARGE_INTEGER size{};
  if (!GetFileSizeEx(AsHandle(handle_), &size)) Fail();
  return static_cast<uint64_t>(size.QuadPart);
}

size_t File::Read(uint64_t offset, std::span<std::byte> bytes) const {
  size_t done = 0;
  while (done < bytes.size()) {
    OVERLAPPED at = At(offset + done);
    const auto wanted = static_cast<DWORD>(std::min(bytes.size() - done, kMostBytes));
    DWORD got = 0;
    if (!ReadFile(AsHandle(handle_), bytes.data() + done, wanted, &got, &at) &&
        GetLastError() != ERROR_HANDLE_EOF) {
      Fail();
    }
    if (got == 0) break;
    done += got;
  }
  return done;
}

void File::Write(uint64_t offset, std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    OVERLAPPED at = At(offset + done);
    const auto wanted = static_cast<DWORD>(std::min(bytes.size() - done, kMostBytes));
    DWORD put = 0;
    if (!WriteFile(AsHandle(handle_), bytes.data() + done, wanted, &put, &at)) Fail();
    if (put == 0) Fail(ERROR_DISK_FULL);
    done += put;
  }
}

void File::Truncate(uint64_t bytes) {
  FILE_END_OF_FILE_INFO end{};
  end.EndOfFile.QuadPart = static_cast<LONGLONG>(bytes);
  if (!SetFileInformationByHandle(AsHandle(handle_), FileEndOfFileInfo, &end, sizeof end)) Fail();
}

void File::StartWriting(uint64_t, uint64_t) const noexcept {}
void File::FinishWriting(uint64_t, uint64_t) const noexcept {}
void File::DropCached(uint64_t, uint64_t) const noexcept {}

Mapping::Mapping(const File& file, uint64_t bytes) {
  if (bytes == 0) return;  // an empty file cannot be mapped
  HANDLE section =
      CreateFileMappingW(AsHandle(file.handle_), nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (!section) Fail();
  const void* address = MapViewOfFile(section, FILE_MAP_READ, 0, 0, bytes);
  const DWORD error = GetLastError();
  CloseHandle(section);  // the view keeps it
  if (!address) Fail(error);
  bytes_ = {static_cast<const std::byte*>(address), bytes};
}

Mapping::~Mapping() {
  if (!bytes_.empty()) UnmapViewOfFile(bytes_.data());
}

bool Exists(const std::string& path) {
  return GetFileAttributesW(LongPath(path).c_str()) != INVALID_FILE_ATTRIBUTES;
}

}  // namespace struprune::os
