// Bytes that must not be found later: keys. Zeroed when the object ends, is moved from or assigned to; never copied by
// accident, never printed (there is no conversion to text). Small and inline, so that nothing of it is left behind by
// an allocator. Keeping it out of swap and core dumps is the process' part (mlockall, PR_SET_DUMPABLE).
#pragma once

#include <string.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace fairlead {

class Secret {
 public:
  static constexpr size_t kCapacity = 64;

  Secret() = default;
  // That many zero bytes, to be filled in by data(). More than kCapacity is a mistake in the program.
  explicit Secret(size_t size) : size_(size) {
    if (size > kCapacity) std::abort();
  }
  Secret(const void* bytes, size_t size) : Secret(size) {
    if (size) memcpy(bytes_, bytes, size);
  }
  Secret(Secret&& other) noexcept { take(other); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { clear(); }

  Secret copy() const { return {bytes_, size_}; }
  void clear() {
    explicit_bzero(bytes_, sizeof bytes_);
    size_ = 0;
  }

  uint8_t* data() { return bytes_; }
  const uint8_t* data() const { return bytes_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Takes as long whatever the bytes are.
  bool equals(const Secret& other) const {
    if (size_ != other.size_) return false;
    unsigned different = 0;
    for (size_t i = 0; i < size_; i++) different |= static_cast<unsigned>(bytes_[i] ^ other.bytes_[i]);
    return different == 0;
  }

 private:
  void take(Secret& other) {
    memcpy(bytes_, other.bytes_, sizeof bytes_);
    size_ = other.size_;
    other.clear();
  }

  uint8_t bytes_[kCapacity] = {};
  size_t size_ = 0;
};

}  // namespace fairlead
