#include "team/mpi_library.h"

#include <algorithm>
#include <cstdlib>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/os/shared_library.h"

namespace struprune {
namespace {

// MPI_MAX_LIBRARY_VERSION_STRING is 256 for Open MPI, 8192 for the others.
constexpr size_t kLongestVersion = 8192;

struct Opened {
  void* library;
  std::string path;
};

// Open MPI's first, but last where the launcher is one of MPICH's relatives, which set PMI_RANK.
std::vector<std::string> Candidates() {
  std::vector<std::string> names = {os::VersionedName("mpi", 40), os::VersionedName("mpi_abi", 1),
                                    os::VersionedName("mpi_abi", 0), os::VersionedName("mpich", 12),
                                    os::VersionedName("mpi", 12)};
  if (std::getenv("PMI_RANK")) std::rotate(names.begin(), names.begin() + 1, names.end());
  return names;
}

Opened Load() {
  if (const char* named = std::getenv("STRUPRUNE_MPI"); named && *named) {
    std::string why;
    if (void* library = os::LoadSharedLibrary(named, &why)) return {library, named};
    throw Error("ERR_NOT_FOUND", "the MPI library of STRUPRUNE_MPI does not load: " + why,
                "name the libmpi of the launcher that starts the ranks");
  }
  const std::vector<std::string> names = Candidates();
  for (const std::string& name : names) {
    if (void* library = os::LoadSharedLibrary(name.c_str())) return {library, name};
  }
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  throw Error("ERR_NOT_FOUND", "no MPI library is found (" + all + ")",
              "install Open MPI or MPICH, or name its libmpi in STRUPRUNE_MPI");
}

}  // namespace

MpiLibrary MpiLibrary::Open() {
  const Opened opened = Load();
  MpiLibrary mpi;
  mpi.path = opened.path;
  const auto find = [&](auto& function, const char* name) {
    using Function = std::remove_reference_t<decltype(function)>;
    function = reinterpret_cast<Function>(os::FindSymbol(opened.library, name));
    return function != nullptr;
  };
  const bool is_mpi =
      find(mpi.Get_library_version, "MPI_Get_library_version") &&
      find(mpi.Init_thread, "MPI_Init_thread") && find(mpi.Finalize, "MPI_Finalize") &&
      find(mpi.Abort, "MPI_Abort") && find(mpi.Comm_rank, "MPI_Comm_rank") &&
      find(mpi.Comm_size, "MPI_Comm_size") && find(mpi.Isend, "MPI_Isend") &&
      find(mpi.Irecv, "MPI_Irecv") && find(mpi.Iprobe, "MPI_Iprobe") && find(mpi.Test, "MPI_Test");
  if (!is_mpi) {
    throw Error("ERR_ARGUMENT", "the library " + mpi.path + " is no MPI",
                "name a libmpi in STRUPRUNE_MPI");
  }
  int (*abi_version)(int* major, int* minor) = nullptr;
  int major = -1, minor = -1;
  // MPI-5 has it; what is built for another ABI says -1.
  if (find(abi_version, "MPI_Abi_get_version")) abi_version(&major, &minor);
  const auto address = [&](const char* name) {
    return reinterpret_cast<MpiHandle>(os::FindSymbol(opened.library, name));
  };
  if (major >= 1) {
    mpi.constants = {0x101, 0x247, nullptr, 2048};
  } else if (const MpiHandle world = address("ompi_mpi_comm_world")) {
    mpi.constants = {world, address("ompi_mpi_byte"), nullptr, 2};
  } else {
    mpi.constants = {0x44000000, 0x4c00010d, reinterpret_cast<void*>(1), 2};  // MPICH
  }
  return mpi;
}

std::string MpiLibrary::Version() const {
  std::string text(kLongestVersion, '\0');
  int length = 0;
  Get_library_version(text.data(), &length);
  return text.substr(0, text.find_first_of(std::string(",\n\0", 3)));
}

}  // namespace struprune
