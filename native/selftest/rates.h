// Rates of the library's products against cuBLAS, and memory against the budget.
#pragma once

namespace struprune::test {

void PrintRates();

}  // namespace struprune::test
