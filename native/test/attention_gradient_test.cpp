#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "model/attend_windows.h"
#include "ops/gemm_path.h"

namespace struprune {
namespace {

using Doubles = std::vector<double>;

// Everything of one attention, in double.
struct Attention {
  Doubles out, log_sum, grad_q, grad_k, grad_v;
};

struct Found {
  std::vector<float> out, log_sum, grad_q, grad_k, grad_v;
  bool operator==(const Found&) const = default;
};

// The definition and the chain rule, one query at a time: dS = P ∘ (dP − Σ P dP), dP = g vᵀ.
Attention Naive(const AttentionShape& shape, size_t rows, const std::vector<float>& q,
                const std::vector<float>& k, const std::vector<float>& v,
                const std::vector<float>& g) {
  const size_t hd = shape.head_dim, width = shape.heads * hd, kv_width = shape.kv_heads * hd;
  Attention a{Doubles(rows * width), Doubles(rows * shape.heads), Doubles(rows * width),
              Doubles(rows * kv_width), Doubles(rows * kv_width)};
  for (size_t t = 0; t < rows; ++t) {
    const size_t start = t / shape.window * shape.window;
    const size_t first =
        shape.sliding ? std::max(start + shape.sliding, t + 1) - shape.sliding : start;
    for (size_t h = 0; h < shape.heads; ++h) {
      const size_t at = t * width + h * hd;
      const auto key = [&](size_t s) {
        return s * kv_width + h * shape.kv_heads / shape.heads * hd;
      };
      const auto dot = [&](const std::vector<float>& x, const std::vector<float>& y, size_t s) {
        double sum = 0;
        for (size_t d = 0; d < hd; ++d) sum += static_cast<double>(x[at + d]) * y[key(s) + d];
        return sum;
      };
      Doubles p, slopes;
      double sum = shape.sinks ? std::exp(double{shape.sinks[h]}) : 0, mean = 0;
      for (size_t s = first; s <= t; ++s) {
        double score = shape.scale * dot(q, k, s);
        if (shape.cap > 0) score = shape.cap * std::tanh(score / shape.cap);
        slopes.push_back(shape.cap > 0 ? 1 - std::pow(score / shape.cap, 2) : 1);
        p.push_back(std::exp(score));
        sum += p.back();
      }
      for (size_t s = first; s <= t; ++s) {
        p[s - first] /= sum;
        mean += p[s - first] * dot(g, v, s);
      }
      a.log_sum[start * shape.heads + h * shape.window + t - start] = std::log(sum);
      for (size_t s = first; s <= t; ++s) {
        const double ds = shape.scale * slopes[s - first] * p[s - first] * (dot(g, v, s) - mean);
        for (size_t d = 0; d < hd; ++d) {
          a.out[at + d] += p[s - first] * v[key(s) + d];
          a.grad_v[key(s) + d] += p[s - first] * g[at + d];
          a.grad_q[at + d] += ds * k[key(s) + d];
          a.grad_k[key(s) + d] += ds * q[at + d];
        }
      }
    }
  }
  return a;
}

// Within `share` of the largest value.
void ExpectNear(const std::vector<float>& got, const Doubles& wanted, double share,
                const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  double largest = 1;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(got[i], wanted[i], share * largest) << what << " [" << i << "]";
  }
}

struct Shape {
  size_t window, heads, kv_heads, head_dim, sliding;
  float cap = 0;
  bool sinks = false;
};

class AttentionGradientTest : public testing::TestWithParam<Shape> {};

TEST_P(AttentionGradientTest, EqualsTheDefinitionInDouble) {
  const auto [window, heads, kv_heads, head_dim, sliding, cap, has_sinks] = GetParam();
  // Of which some have most of the weight, and some next to none.
  std::vector<float> sinks(heads);
  for (size_t h = 0; h < heads; ++h) sinks[h] = h % 2 ? -3.0f : 4.0f;
  const AttentionShape shape{window,  heads, kv_heads, head_dim,
                             sliding, 0.7f,  cap,      has_sinks ? sinks.data() : nullptr};
  const size_t rows = 2 * window;
  std::mt19937 generator(11);
  std::normal_distribution<float> normal;
  const auto random = [&](size_t width) {
    std::vector<float> values(rows * width * shape.head_dim);
    for (float& value : values) value = normal(generator);
    return values;
  };
  const auto q = random(heads), k = random(kv_heads), v = random(kv_heads), g = random(heads);
  const Attention wanted = Naive(shape, rows, q, k, v, g);
  for (const GemmPath path : AvailableGemmPaths()) {
    const ScopedGemmPath own(path);
    const auto run = [&, path = path](size_t threads, bool used) {
      // Outputs start as garbage: they are to be overwritten.
      Found found{random(heads), std::vector<float>(rows * shape.heads, 5), random(heads),
                  random(kv_heads), random(kv_heads)};
      Context context(threads, 0, [path](Purpose) { SetGemmPath(path); });
      std::vector<AttentionScratch> scratch(context.pool.size());
      for (AttentionScratch& own_scratch : scratch) {
        if (!used) continue;
        own_scratch.scores.assign(1 << 16, std::nanf(""));
        own_scratch.aux.assign(1 << 10, std::nanf(""));
        own_scratch.lines.resize(1 << 15);
        std::memset(own_scratch.lines.data(), 0xff,
                    own_scratch.lines.size() * sizeof(AttentionScratch::Line));
      }
      AttendWindows(context, shape, rows, q.data(), k.data(), v.data(), found.out.data(),
                    found.log_sum.data(), scratch);
      AttendWindowsBackward(context, shape, rows, q.data(), k.data(), v.data(), found.out.data(),
                            found.log_sum.data(), g.data(), found.grad_q.data(),
                            found.grad_k.data(), found.grad_v.data(), scratch);
      return found;
    };
    const Found found = run(2, false);
    const auto what = [&](const char* name) {
      return std::string(name) + " by " + std::string(NameOf(path));
    };
    EXPECT_TRUE(run(1, true) == found && run(3, true) == found)
        << what("threads and scratch change the gradients");

    // Operands rounded to 8 and to 16 bits (twice what was measured), or not at all.
    const double share = IsBf16(path) ? 5e-2 : path == GemmPath::kAmxBf16x3 ? 1.3e-4 : 1e-5;
    ExpectNear(found.out, wanted.out, share, what("out"));
    ExpectNear(found.log_sum, wanted.log_sum, share, what("log_sum"));
    ExpectNear(found.grad_q, wanted.grad_q, share, what("grad_q"));
    ExpectNear(found.grad_k, wanted.grad_k, share, what("grad_k"));
    ExpectNear(found.grad_v, wanted.grad_v, share, what("grad_v"));
  }
}

// Windows on both sides of the tiles of 128 queries and 256 keys, and sliding windows on both sides
// of them.
INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionGradientTest,
    testing::Values(Shape{1, 2, 1, 4, 0}, Shape{5, 3, 3, 6, 0}, Shape{128, 2, 2, 8, 0},
                    Shape{129, 4, 2, 8, 0}, Shape{300, 2, 1, 16, 0}, Shape{520, 2, 1, 4, 0},
                    Shape{40, 2, 1, 4, 1}, Shape{300, 3, 1, 4, 7}, Shape{520, 2, 2, 4, 200},
                    Shape{520, 2, 1, 4, 256}, Shape{520, 1, 1, 4, 300}, Shape{100, 2, 1, 4, 100},
                    Shape{300, 4, 2, 80, 0}, Shape{50, 3, 1, 40, 0}, Shape{300, 2, 1, 72, 20},
                    Shape{300, 2, 1, 16, 0, 2}, Shape{130, 2, 2, 8, 50, 0.5f},
                    Shape{1, 2, 1, 4, 0, 0, true}, Shape{300, 4, 2, 16, 0, 0, true},
                    Shape{520, 2, 1, 8, 7, 1.5f, true}),
    [](const auto& info) {
      const Shape& s = info.param;
      return "Window" + std::to_string(s.window) + "Heads" + std::to_string(s.heads) + "Over" +
             std::to_string(s.kv_heads) + "Dim" + std::to_string(s.head_dim) + "Sliding" +
             std::to_string(s.sliding) + (s.cap > 0 ? "Capped" : "") + (s.sinks ? "Sinks" : "");
    });

}  // namespace
}  // namespace struprune
