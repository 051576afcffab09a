#include "core/free_space.h"

#include <gtest/gtest.h>

namespace struprune {
namespace {

TEST(FreeSpaceTest, GrowsWhereNothingFits) {
  FreeSpace space;
  EXPECT_EQ(space.Take(100), 0u);
  EXPECT_EQ(space.Take(50), 100u);
  space.Give(0, 100);
  EXPECT_EQ(space.Take(101), 150u);
  EXPECT_EQ(space.end(), 251u);
}

TEST(FreeSpaceTest, GivesFreedRangesAgainAndKeepsTheRest) {
  FreeSpace space;
  space.Take(100);
  space.Take(1);
  space.Give(0, 100);
  EXPECT_EQ(space.Take(60), 0u);
  EXPECT_EQ(space.Take(40), 60u);
  EXPECT_EQ(space.end(), 101u);
}

TEST(FreeSpaceTest, NeighboursGrowTogether) {
  FreeSpace space;
  for (int i = 0; i < 4; ++i) space.Take(10);
  space.Give(0, 10);
  space.Give(20, 10);
  space.Give(10, 10);  // between both
  EXPECT_EQ(space.Take(30), 0u);
  EXPECT_EQ(space.end(), 40u);
}

TEST(FreeSpaceTest, TheFileShrinksWithItsFreeEnd) {
  FreeSpace space;
  for (int i = 0; i < 3; ++i) space.Take(10);
  space.Give(10, 10);
  EXPECT_EQ(space.end(), 30u);
  space.Give(20, 10);
  EXPECT_EQ(space.end(), 10u);
  space.Give(0, 10);
  EXPECT_EQ(space.end(), 0u);
}

}  // namespace
}  // namespace struprune
