#include "lb/health_book.h"

#include <algorithm>

#include "base/file.h"
#include "state/store.h"

namespace fairlead::lb {
namespace {

ObjectKey service_of(const BackendName& b) { return {std::get<0>(b), std::get<1>(b)}; }

}  // namespace

void HealthBook::restore(const std::map<ObjectKey, std::shared_ptr<const ServiceHealth>>& documents) {
  restored_ = documents;
}

Verdict HealthBook::verdict(const BackendName& backend) {
  auto known = verdicts_.find(backend);
  if (known != verdicts_.end()) return known->second;
  Verdict verdict = Verdict::kPending;
  auto document = restored_.find(service_of(backend));
  if (document != restored_.end()) {
    const auto& names = document->second->unhealthy;
    bool named = std::find(names.begin(), names.end(), std::get<2>(backend)) != names.end();
    verdict = named ? Verdict::kUnhealthy : Verdict::kHealthy;
  }
  verdicts_[backend] = verdict;
  return verdict;
}

void HealthBook::set(const BackendName& backend, bool healthy) {
  auto known = verdicts_.find(backend);
  if (known == verdicts_.end()) return;  // not a backend any more
  known->second = healthy ? Verdict::kHealthy : Verdict::kUnhealthy;
  transitions_[service_of(backend)]++;
}

void HealthBook::keep_only(const std::map<BackendName, CheckPlan>& checks) {
  std::erase_if(verdicts_, [&](const auto& entry) { return checks.count(entry.first) == 0; });
}

std::map<ObjectKey, ServiceHealth> HealthBook::documents(const std::set<ObjectKey>& services) const {
  std::map<ObjectKey, ServiceHealth> documents;
  for (const auto& key : services) documents[key] = {key.first, key.second, {}, ""};
  for (const auto& [backend, verdict] : verdicts_) {
    auto document = documents.find(service_of(backend));
    if (verdict != Verdict::kHealthy && document != documents.end())
      document->second.unhealthy.push_back(std::get<2>(backend));
  }
  return documents;
}

uint32_t HealthBook::unhealthy(const ObjectKey& service) const {
  uint32_t count = 0;
  for (auto it = verdicts_.lower_bound({service.first, service.second, ""}); it != verdicts_.end(); ++it) {
    if (service_of(it->first) != service) break;
    if (it->second != Verdict::kHealthy) count++;
  }
  return count;
}

uint64_t HealthBook::transitions(const ObjectKey& service) const {
  auto found = transitions_.find(service);
  return found == transitions_.end() ? 0 : found->second;
}

Result<void> save_health(const Paths& paths, const std::map<ObjectKey, ServiceHealth>& wanted,
                         const std::map<ObjectKey, std::shared_ptr<const ServiceHealth>>& present,
                         std::map<ObjectKey, ServiceHealth>& written) {
  Result<void> result;
  for (const auto& [key, document] : wanted) {
    auto last = written.find(key);
    if (last != written.end() && last->second.unhealthy == document.unhealthy) continue;
    if (auto saved = save(paths, document); saved)
      written[key] = document;
    else if (result)
      result = fail(saved.error());
  }
  std::set<ObjectKey> gone;
  for (const auto& [key, document] : present)
    if (!wanted.count(key)) gone.insert(key);
  for (const auto& [key, document] : written)
    if (!wanted.count(key)) gone.insert(key);
  for (const auto& key : gone) {
    auto removed = remove_file(paths.health(key.first, key.second));
    if (!removed && result) result = fail(removed.error());
    written.erase(key);
  }
  return result;
}

}  // namespace fairlead::lb
