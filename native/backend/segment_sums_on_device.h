// What a pass over the tokens sums on a GPU, by segments (core/segments.h): the compute stream
// joins them, so that the pages before a segment's end do not hold up those behind it.
#pragma once

#include <utility>
#include <vector>

#include "backend/streams.h"
#include "core/segments.h"

namespace struprune {

// Where each of several sums begins in one array.
class SumLayout {
 public:
  // Place of the next one, of `count` doubles.
  size_t Put(size_t count) {
    return std::exchange(end_, end_ + ArrayBytes<double>(count) / sizeof(double));
  }
  // Doubles of them all.
  size_t end() const { return end_; }

 private:
  size_t end_ = 0;
};

class SegmentSumsOnDevice {
 public:
  // Of `count` doubles.
  SegmentSumsOnDevice(const CudaDevice& gpu, size_t count, const Segments& segments) : gpu_(gpu) {
    for (size_t i = 0; i < MostSums(segments); ++i) arrays_.emplace_back(gpu, count);
    Begin();
  }
  static uint64_t Bytes(size_t count, const Segments& segments) {
    return MostSums(segments) * ArrayBytes<double>(count);
  }
  SegmentSumsOnDevice(const SegmentSumsOnDevice&) = delete;
  SegmentSumsOnDevice& operator=(const SegmentSumsOnDevice&) = delete;

  // Nothing has been summed.
  void Begin() {
    free_.clear();
    for (const CudaArray<double>& array : arrays_) free_.push_back(&array);
    sums_ = SegmentSums<Sum>([this] { return Zero(); });
  }
  // What a segment's rows are added to; the sum of all.
  double* At(size_t segment) { return sums_.At(segment).array->data(); }
  double* Total() { return sums_.Total().array->data(); }

 private:
  struct Sum {
    SegmentSumsOnDevice* owner;
    const CudaArray<double>* array;
    void operator+=(Sum&& from) { owner->Add(*from.array, *array); }
  };
  Sum Zero() {
    const CudaArray<double>* const array = free_.back();
    free_.pop_back();
    if (array->data()) {
      gpu_.Call(&cuda::Api::fill, array->data(), 0, Int(array->size() * sizeof(double)));
    }
    return {this, array};
  }
  void Add(const CudaArray<double>& from, const CudaArray<double>& to) {
    if (from.data()) {
      gpu_.Call(&cuda::Api::add_doubles, Int(from.size()), from.data(), to.data());
    }
    free_.push_back(&from);
  }

  const CudaDevice& gpu_;
  std::vector<CudaArray<double>> arrays_;
  std::vector<const CudaArray<double>*> free_;
  SegmentSums<Sum> sums_;
};

}  // namespace struprune
