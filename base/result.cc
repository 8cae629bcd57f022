#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace fairlead {

Error Error::with(std::string_view context) const { return Error{std::string(context) + ": " + message, sys}; }

tl::unexpected<Error> fail_errno(std::string_view verb, std::string_view object, int sys) {
  std::string text(verb);
  if (!object.empty()) text.append(" ").append(object);
  text.append(": ").append(strerror(sys));
  return fail(std::move(text), sys);
}

tl::unexpected<Error> fail_errno(std::string_view verb, std::string_view object) {
  return fail_errno(verb, object, errno);
}

}  // namespace fairlead
