// Errors as values. A failing system call becomes an Error where it happens (verb, object, errno);
// every caller either adds context or handles it, and never does both logging and returning.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace fairlead {

struct Error {
  std::string message;
  int sys = 0;  // errno when a system call was the cause, else 0

  // "context: message"; keeps the errno.
  Error with(std::string_view context) const;
};

template <class T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string message, int sys = 0) {
  return tl::unexpected<Error>(Error{std::move(message), sys});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// "verb object: strerror(errno)". Takes errno at the call.
tl::unexpected<Error> fail_errno(std::string_view verb, std::string_view object);
tl::unexpected<Error> fail_errno(std::string_view verb, std::string_view object, int sys);

}  // namespace fairlead

#define FL_CONCAT_(a, b) a##b
#define FL_CONCAT(a, b) FL_CONCAT_(a, b)

// FL_TRY(auto x, f()): declares x from the value, or returns the error.
#define FL_TRY(declaration, expression) FL_TRY_(declaration, expression, FL_CONCAT(fl_try_, __LINE__))
#define FL_TRY_(declaration, expression, tmp)                \
  auto tmp = (expression);                                   \
  if (!tmp) return ::fairlead::fail(std::move(tmp.error())); \
  declaration = std::move(*tmp)

// FL_CHECK(f()): for Result<void>; returns the error. A name of its own each time: f may hold a lambda with another
// one.
#define FL_CHECK(expression) FL_CHECK_(expression, FL_CONCAT(fl_check_, __COUNTER__))
#define FL_CHECK_(expression, result)                                                            \
  do {                                                                                           \
    if (auto result = (expression); !result) return ::fairlead::fail(std::move(result.error())); \
  } while (false)
