#include "lb/port_reports.h"

#include "base/names.h"
#include "state/store.h"

namespace fairlead::lb {

Result<void> PortReports::restore() {
  FL_TRY(auto networks, list_folders(paths_.ports()));
  for (const auto& network : networks) {
    if (!is_object_name(network)) continue;
    FL_TRY(auto names, list_documents(paths_.ports(network)));
    for (const auto& name : names) {
      auto report = load_port_report(paths_, network, name);
      // A bad one equals no report, so that it is replaced or removed.
      written_[{network, name}] = report && *report ? std::move(**report) : PortReport{};
    }
  }
  return {};
}

Result<void> PortReports::withdraw(const ObjectKey& key) {
  FL_CHECK(remove_file(paths_.port_report(key.first, key.second)));
  return {};
}

Result<void> PortReports::update(const Plan& plan, const RealisedOf& realised) {
  Result<void> result;
  auto keep = [&](const Result<void>& step) {
    if (!step && result) result = step;
  };
  for (auto it = written_.begin(); it != written_.end();) {
    if (plan.mappings.count(it->first)) {
      ++it;
      continue;
    }
    auto done = withdraw(it->first);
    keep(done);
    it = done ? written_.erase(it) : std::next(it);
  }
  for (const auto& [key, mapping] : plan.mappings) {
    Realised now = mapping.problem.empty() ? realised(key.first, mapping) : Realised{false, mapping.problem};
    PortReport report{key.first, key.second, mapping.attempt, now.answers, std::move(now.problem), ""};
    auto& last = written_[key];
    if (last == report) continue;
    auto saved = save(paths_, report);
    keep(saved);
    if (saved) last = std::move(report);
  }
  return result;
}

}  // namespace fairlead::lb
