// inotify over the folders of documents: which folder, which document. What StateView is made of.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead {

class StateWatcher {
 public:
  // A watched folder: what it holds (kind, the view's own numbering) and which of that kind it is ("" for the top one).
  struct Folder {
    int kind = 0;
    std::string network;
    bool top = false;  // holds folders, not documents
    std::string path;
  };
  enum class What { kDocument, kFolder, kLost };
  using Handler = std::function<void(What, const Folder&, const std::string& name)>;

  static Result<StateWatcher> open();
  // Watching a folder again is harmless. false when it does not exist.
  Result<bool> watch(const Folder& folder);
  void forget(const std::string& path);
  int fd() const { return fd_.get(); }
  // Calls handle for every pending event, without blocking; kLost when events were dropped or a watched top folder
  // went away: everything has to be read again.
  Result<void> drain(const Handler& handle);

 private:
  explicit StateWatcher(Fd fd) : fd_(std::move(fd)) {}
  void dispatch(const void* event, const Handler& handle);
  Fd fd_;
  std::map<int, Folder> folders_;
};

}  // namespace fairlead
