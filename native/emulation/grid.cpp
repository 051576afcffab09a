// The threads of a block as fibers.
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "cuda_runtime.h"

namespace emulation {
namespace {

constexpr size_t kStack = 64 * 1024;
constexpr unsigned kMaxThreads = 1024;

enum class State { kReady, kAtBarrier, kAtExchange, kDone };

// Registers of a fiber or of the scheduler, as __builtin_setjmp keeps them: swapcontext would make
// a system call at every switch.
using Place = void* [5];

struct Fiber {
  ucontext_t start;
  Place place;
  std::unique_ptr<char[]> stack;  // null: never entered
  State state = State::kDone;
  uint64_t value = 0;
};

struct Machine {
  Place scheduler;
  std::vector<Fiber> fibers{kMaxThreads};
  const std::function<void()>* kernel = nullptr;
  unsigned current = 0;
  unsigned round = 0;
};

Machine& TheMachine() {
  static Machine machine;
  return machine;
}

// Both switches: not inlined, since a place must not be left and entered in one function.
[[gnu::noinline]] void Leave(State state) {
  Machine& machine = TheMachine();
  Fiber& fiber = machine.fibers[machine.current];
  fiber.state = state;
  if (__builtin_setjmp(fiber.place) == 0) __builtin_longjmp(machine.scheduler, 1);
}

// A fiber is one thread of every block that is to come.
void FiberMain() {
  for (;;) {
    (*TheMachine().kernel)();
    Leave(State::kDone);
  }
}

[[gnu::noinline]] void Enter(Fiber& fiber) {
  if (__builtin_setjmp(TheMachine().scheduler) != 0) return;
  if (fiber.stack) __builtin_longjmp(fiber.place, 1);
  fiber.stack = std::make_unique<char[]>(kStack);
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = fiber.stack.get();
  fiber.start.uc_stack.ss_size = kStack;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, FiberMain, 0);
  setcontext(&fiber.start);
}

// Lets every ready thread run until it stops; forwards in one round, backwards in the next.
void RunReady(Machine& machine, unsigned threads) {
  const bool backwards = machine.round++ % 2 == 1;
  for (unsigned i = 0; i < threads; ++i) {
    const unsigned at = backwards ? threads - 1 - i : i;
    if (machine.fibers[at].state != State::kReady) continue;
    machine.current = at;
    threadIdx = dim3(at, 0, 0);
    Enter(machine.fibers[at]);
  }
}

// Releases threads [first, first + count) when all of them wait at `state`.
bool Release(Machine& machine, unsigned first, unsigned count, State state) {
  for (unsigned i = first; i < first + count; ++i) {
    if (machine.fibers[i].state != state) return false;
  }
  for (unsigned i = first; i < first + count; ++i) machine.fibers[i].state = State::kReady;
  return true;
}

[[noreturn]] void Deadlock() {
  std::fprintf(stderr, "emulated kernel: not all threads came to a barrier or a shuffle\n");
  std::abort();
}

// Barriers want every thread of the block, also on real hardware (CUDA C++ Programming Guide,
// Synchronization Functions); threads that are done count as gone only when none waits for them.
void RunBlock(Machine& machine, unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) machine.fibers[i].state = State::kReady;
  for (;;) {
    RunReady(machine, threads);
    bool any = Release(machine, 0, threads, State::kAtBarrier);
    for (unsigned i = 0; !any && i < threads; i += 32) {
      any |= Release(machine, i, threads - i < 32 ? threads - i : 32, State::kAtExchange);
    }
    if (any) continue;
    for (unsigned i = 0; i < threads; ++i) {
      if (machine.fibers[i].state != State::kDone) Deadlock();
    }
    return;
  }
}

}  // namespace

void SyncThreads() { Leave(State::kAtBarrier); }

uint64_t Exchange(uint64_t mine, unsigned partner) {
  Machine& machine = TheMachine();
  const unsigned self = machine.current;
  machine.fibers[self].value = mine;
  Leave(State::kAtExchange);
  const uint64_t theirs = machine.fibers[self / 32 * 32 + partner].value;
  Leave(State::kAtExchange);  // nobody brings the next value before all have read this one
  return theirs;
}

void RunGrid(dim3 grid, dim3 block, const std::function<void()>& kernel) {
  if (block.x > kMaxThreads || block.y * block.z != 1 || grid.y > 65535 || grid.z > 65535) {
    std::fprintf(stderr, "emulated kernel: impossible launch\n");
    std::abort();
  }
  Machine& machine = TheMachine();
  machine.kernel = &kernel;
  blockDim = block;
  gridDim = grid;
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  const bool backwards = machine.round % 3 == 1;
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t at = backwards ? blocks - 1 - i : i;
    blockIdx = dim3(static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                    static_cast<unsigned>(at / grid.x / grid.y));
    RunBlock(machine, block.x);
  }
}

}  // namespace emulation
