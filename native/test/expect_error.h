// Expectation that a call throws struprune::Error with a code and a message.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace struprune::test {

template <typename Fn>
void ExpectError(Fn&& fn, const std::string& code, const std::string& part) {
  try {
    fn();
    ADD_FAILURE() << "no error, expected " << code << " with: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << error.what() << "\n  lacks: " << part;
    EXPECT_FALSE(error.mend().empty()) << error.what();
  }
}

}  // namespace struprune::test
