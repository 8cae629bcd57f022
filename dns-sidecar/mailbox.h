// Messages from any thread to one, which waits for them by epoll. Order is kept; the reader is woken once per batch.
// Failure: a full box refuses (push returns false). Cost: one uncontended lock a batch, one write(2) per wake-up.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::dns {

template <class T>
class Mailbox {
 public:
  explicit Mailbox(size_t limit) : limit_(limit) {}

  Result<void> open() {
    event_.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!event_) return fail_errno("create", "eventfd");
    return {};
  }
  int fd() const { return event_.get(); }

  // Takes what fits, in order; the rest stays in messages.
  void push_all(std::vector<T>& messages) {
    if (messages.empty()) return;
    size_t taken = 0;
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      wake = messages_.empty();
      taken = std::min(messages.size(), limit_ - std::min(limit_, messages_.size()));
      auto end = messages.begin() + static_cast<std::ptrdiff_t>(taken);
      messages_.insert(messages_.end(), std::make_move_iterator(messages.begin()), std::make_move_iterator(end));
    }
    messages.erase(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(taken));
    if (wake && taken) notify();
  }
  // must: over the limit, too; for the few messages that may not be lost.
  bool push(T message, bool must = false) {
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      if (messages_.size() >= limit_ && !must) return false;
      wake = messages_.empty();
      messages_.push_back(std::move(message));
    }
    if (wake) notify();
    return true;
  }
  // Everything there is, into an empty vector.
  void take(std::vector<T>& out) {
    uint64_t count;
    // EAGAIN only says that nobody has written since.
    [[maybe_unused]] ssize_t n = read(event_.get(), &count, sizeof count);
    std::lock_guard lock(mutex_);
    out.swap(messages_);
  }

 private:
  void notify() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t n = write(event_.get(), &one, sizeof one);  // cannot overflow: one write per empty box
  }

  const size_t limit_;
  Fd event_;
  std::mutex mutex_;
  std::vector<T> messages_;
};

}  // namespace fairlead::dns
