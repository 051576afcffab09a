// Tensors of floats in an unnamed temporary file, for what reads its weights from a mapped
// checkpoint.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "model/tensor_source.h"

namespace struprune::test {

// Of the standard normal distribution.
inline std::vector<float> RandomFloats(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

// values are [rows, cols], row-major.
inline TensorSource FloatTensor(const std::string& name, size_t rows, size_t cols,
                                std::span<const float> values) {
  std::string path = testing::TempDir() + "struprune-tensor-XXXXXX";
  const int file = mkstemp(path.data());
  EXPECT_GE(file, 0) << path;
  EXPECT_EQ(values.size(), rows * cols) << name;
  EXPECT_EQ(write(file, values.data(), values.size_bytes()),
            static_cast<ssize_t>(values.size_bytes()));
  close(file);
  TensorSource source;
  source.name = name;
  source.file = std::make_shared<MappedFile>(path);
  source.bytes = values.size_bytes();
  source.rows = rows;
  source.cols = cols;
  unlink(path.c_str());  // the map keeps its pages
  return source;
}

}  // namespace struprune::test
