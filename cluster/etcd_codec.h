// Requests to and answers of etcd 3.4's JSON gateway. Pure.
//
// The gateway ignores fields it does not know: a compare with a misspelt field would succeed always. So requests are
// built here only, from checked structs. It leaves out what is zero, false or empty, and writes 64-bit numbers as text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace fairlead::cluster {

struct EtcdDocument {
  std::string key, value;
  int64_t modified = 0;  // revision of its last change
  int64_t lease = 0;
};

struct EtcdRange {
  std::string key, end;  // [key, end); end empty: the one key
  int64_t limit = 0, revision = 0;
};
// The end of a range that holds everything that begins with prefix (which must not end in 0xff).
std::string prefix_end(std::string prefix);

struct EtcdRangeAnswer {
  std::vector<EtcdDocument> documents;  // sorted by key
  int64_t revision = 0;
  bool more = false;
};

struct EtcdCompare {
  enum What { kAbsent, kModifiedAt, kNoneModifiedAfter } what = kAbsent;
  std::string key, end;  // end: kNoneModifiedAfter only
  int64_t revision = 0;
};
struct EtcdChange {
  std::string key;
  std::optional<std::string> value;  // nullopt: delete
  int64_t lease = 0;
  std::string end;  // delete only: a range
};
inline constexpr size_t kMaxEtcdChanges = 100;  // etcd takes 128 operations a transaction

struct EtcdEvent {
  std::string key;
  std::optional<std::string> value;  // nullopt: deleted
  int64_t revision = 0;
};
struct EtcdWatchLine {
  std::vector<EtcdEvent> events;
  int64_t revision = 0;  // of the header: up to here nothing is missing, except in the line that says created
  bool created = false;
  bool canceled = false;  // compacted, or the server ends it: read everything again
};

struct EtcdMember {
  std::string id, name;
  std::vector<std::string> peer_urls;
  bool learner = false;
};

inline bool is_at(const EtcdMember& member, const std::string& peer_url) {
  return std::find(member.peer_urls.begin(), member.peer_urls.end(), peer_url) != member.peer_urls.end();
}

Json encode(const EtcdRange& range);
Json encode(const std::vector<EtcdCompare>& compares, const std::vector<EtcdChange>& changes);
Json encode_watch(const EtcdRange& range, int64_t start_revision);

Result<EtcdRangeAnswer> decode_range(const Json& answer);
// One line of a watch's stream.
Result<EtcdWatchLine> decode_watch_line(std::string_view line);
Result<std::vector<EtcdMember>> decode_members(const Json& answer);
int64_t header_revision(const Json& answer);
// A number that is text, or absent (0).
int64_t long_at(const Json& object, const char* key);

}  // namespace fairlead::cluster
