// run/ports/NETWORK/ATTACHMENT.json: what became of each endpoint's port mappings. An ADD waits for its report.
// Only differences are written, and a report is withdrawn when its endpoint is gone.
// Threads: one. Cost: a pass over the endpoints that have port mappings; one small file per difference.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "lb/model.h"
#include "state/paths.h"
#include "state/view.h"

namespace fairlead::lb {

// Why what is planned is not so yet: "" when all of it is in force; not to be known yet: answers false, problem "".
struct Realised {
  bool answers = false;
  std::string problem;
};
using RealisedOf = std::function<Realised(const std::string& network, const MappingPlan& mapping)>;

class PortReports {
 public:
  explicit PortReports(Paths paths) : paths_(std::move(paths)) {}
  // Takes over what an earlier process wrote; to be called once.
  Result<void> restore();
  // The first error; the others are tried all the same, and again at the next call.
  Result<void> update(const Plan& plan, const RealisedOf& realised);

 private:
  Result<void> withdraw(const ObjectKey& key);

  Paths paths_;
  std::map<ObjectKey, PortReport> written_;
};

}  // namespace fairlead::lb
