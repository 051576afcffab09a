// MPI as this program calls it: found and opened while the program runs, without a header of any.
#pragma once

#include <cstdint>
#include <string>

namespace struprune {

// A communicator, a datatype or a request: a pointer (Open MPI, the standard ABI of MPI-5) or an
// int (MPICH and its relatives), which reads and writes the lower half, the first on little-endian
// processors.
using MpiHandle = intptr_t;

struct MpiLibrary {
  // That of the environment's STRUPRUNE_MPI, or the launcher's. Throws ERR_NOT_FOUND where there is
  // none, ERR_ARGUMENT where the library is no MPI.
  static MpiLibrary Open();

  // What it calls itself: its name and version, without how it was built.
  std::string Version() const;

  std::string path;

  // MPI_COMM_WORLD, MPI_BYTE, MPI_STATUS_IGNORE, MPI_THREAD_SERIALIZED: each ABI has its own.
  struct {
    MpiHandle world, byte;
    void* status_ignore;
    int serialized;
  } constants{};

  int (*Get_library_version)(char* text, int* length) = nullptr;
  int (*Init_thread)(int* argc, char*** argv, int required, int* provided) = nullptr;
  int (*Finalize)() = nullptr;
  int (*Abort)(MpiHandle comm, int code) = nullptr;
  int (*Comm_rank)(MpiHandle comm, int* rank) = nullptr;
  int (*Comm_size)(MpiHandle comm, int* size) = nullptr;
  int (*Isend)(const void* from, int count, MpiHandle type, int to, int tag, MpiHandle comm,
               MpiHandle* request) = nullptr;
  int (*Irecv)(void* to, int count, MpiHandle type, int from, int tag, MpiHandle comm,
               MpiHandle* request) = nullptr;
  int (*Iprobe)(int from, int tag, MpiHandle comm, int* there, void* status) = nullptr;
  int (*Test)(MpiHandle* request, int* done, void* status) = nullptr;
};

}  // namespace struprune
