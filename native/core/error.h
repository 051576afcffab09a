// Errors carry a stable code, a message and the mend; the addon turns them into StruPruneError
// (lib/errors.ts lists the codes).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace struprune {

class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message, std::string mend = "")
      : std::runtime_error(message), code_(std::move(code)), mend_(std::move(mend)) {}
  const std::string& code() const { return code_; }
  const std::string& mend() const { return mend_; }

 private:
  std::string code_;
  std::string mend_;
};

}  // namespace struprune
