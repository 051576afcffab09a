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

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  State state = State::kDone;
  uint64_t value = 0;
};

struct Machine {
  ucontext_t scheduler;
  std::vector<Fiber> fibers{kMaxThreads};
  const std::function<void()>* kernel = nullptr;
  unsigned current = 0;
  unsigned round = 0;
};

Machine& TheMachine() {
  static Machine machine;
  return machine;
}

void FiberMain() {
  Machine& machine = TheMachine();
  (*machine.kernel)();
  machine.fibers[machine.current].state = State::kDone;
  swapcontext(&machine.fibers[machine.current].context, &machine.scheduler);
}

void Leave(State state) {
  Machine& machine = TheMachine();
  Fiber& fiber = machine.fibers[machine.current];
  fiber.state = state;
  swapcontext(&fiber.context, &machine.scheduler);
}

void Start(Fiber& fiber) {
  if (!fiber.stack) fiber.stack = std::make_unique<char[]>(kStack);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, FiberMain, 0);
  fiber.state = State::kReady;
}

// Lets every ready thread run until it stops; forwards in one round, backwards in the next.
void RunReady(Machine& machine, unsigned threads) {
  const bool backwards = machine.round++ % 2 == 1;
  for (unsigned i = 0; i < threads; ++i) {
    const unsigned at = backwards ? threads - 1 - i : i;
    if (machine.fibers[at].state != State::kReady) continue;
    machine.current = at;
    threadIdx = dim3(at, 0, 0);
    swapcontext(&machine.scheduler, &machine.fibers[at].context);
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
  for (unsigned i = 0; i < threads; ++i) Start(machine.fibers[i]);
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
