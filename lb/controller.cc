#include "lb/controller.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/log.h"
#include "lb/claim_book.h"

namespace fairlead::lb {
namespace {

constexpr unsigned kRepairTicks = 1000 / kTickMs;   // a repair every second
constexpr unsigned kRescanTicks = 30000 / kTickMs;  // the safety net below inotify

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Controller::Controller(const Paths& paths, BalancerKind kind)
    : paths_(paths), kind_(kind), port_reports_(paths), report_(std::make_shared<Report>()) {}

Result<void> Controller::start() {
  FL_TRY(view_, StateView::open(paths_));
  FL_TRY(host_, HostControl::open());
  FL_TRY(checker_, HealthChecker::start());
  counters_ = checker_.get();
  health_.restore(view_->health());
  auto claims = load_claims(paths_);
  if (!claims) log_warning(claims.error().message + "; contested ports go by name");
  if (claims) incumbents_ = std::move(*claims);
  FL_CHECK(port_reports_.restore());
  update();
  health_.end_of_restart();
  return {};
}

void Controller::on_documents() {
  auto changes = view_->refresh();
  set_error("state directory", changes ? std::nullopt : std::optional<Error>(changes.error()));
  // Health documents are our own.
  if (changes) changes->health.clear();
  if (changes && changes->any()) update();
}

void Controller::on_health() {
  auto changes = checker_->take_changes();
  for (const auto& [backend, healthy] : changes) {
    health_.set(backend, healthy);
    log_info("service " + std::get<0>(backend) + "/" + std::get<1>(backend) + ": " + std::get<2>(backend) +
             (healthy ? " is healthy" : " is unhealthy"));
  }
  if (!changes.empty()) update();
}

void Controller::on_tick() {
  ticks_++;
  if (ticks_ % kRescanTicks == 0) {
    auto changes = view_->rescan();
    // What was refused may be possible by now (a module was loaded).
    for (const auto& [network, list] : refusals_)
      if (!list.empty()) applied_.erase(network);
    if (changes) update();
  }
  look_at_drains();
  for (auto& [network, router] : routers_) {
    if (!router) continue;
    auto followed = router->follow_load();
    if (!followed) log_debug("network " + network + ": " + followed.error().message);
  }
  if (ticks_ % kRepairTicks == 0) repair();
}

Plan Controller::make() {
  const int64_t now = now_ms();
  Documents documents{view_->networks(), view_->services(), view_->endpoints(), view_->routers(),
                      &view_->remote_endpoints()};
  drains_.begin_round();
  Incumbents claimed;
  auto ask = [&](const Service& service, const Endpoint& endpoint, uint8_t protocol) {
    return standing(service, endpoint, protocol, now);
  };
  Plan plan = make_plan(documents, ask, incumbents_, &claimed);
  drains_.end_round();
  health_.keep_only(plan.checks);
  if (claimed != incumbents_) {
    incumbents_ = std::move(claimed);
    auto saved = save_claims(paths_, incumbents_);
    set_error("claims document", saved ? std::nullopt : std::optional<Error>(saved.error()));
  }
  return plan;
}

// What another node says of its own endpoint; nullopt: it is this node's.
std::optional<Verdict> Controller::remote_verdict(const Service& service, const Endpoint& endpoint) const {
  const auto& remote = view_->remote_endpoints();
  auto there = remote.find({endpoint.network, endpoint.node + "/" + endpoint.key()});
  if (there == remote.end() || there->second.get() != &endpoint) return std::nullopt;
  auto health = view_->remote_health().find({service.network, endpoint.node + "/" + service.name});
  if (health == view_->remote_health().end()) return Verdict::kHealthy;
  const auto& unhealthy = health->second->unhealthy;
  return std::find(unhealthy.begin(), unhealthy.end(), endpoint.key()) == unhealthy.end() ? Verdict::kHealthy
                                                                                          : Verdict::kUnhealthy;
}

Standing Controller::standing(const Service& service, const Endpoint& endpoint, uint8_t protocol, int64_t now) {
  auto remote = remote_verdict(service, endpoint);
  const BackendName name{service.network, service.name, remote ? endpoint.node + "/" + endpoint.key() : endpoint.key()};
  Verdict verdict = remote ? *remote : health_port(service) ? health_.verdict(name) : Verdict::kHealthy;
  if (verdict == Verdict::kPending) return Standing::kOut;
  if (verdict == Verdict::kHealthy && endpoint.state != "stopping") return Standing::kServing;
  Standing drain = drains_.standing(name, now, service.drain_ms);
  // Nothing would ever tell a UDP client that nobody answers.
  return verdict == Verdict::kUnhealthy && protocol == kUdp ? Standing::kOut : drain;
}

// Tells the checker what to check and the others what it found.
void Controller::watch_health() {
  HealthTargets targets;
  for (const auto& [name, check] : plan_.checks) {
    auto router = routers_.find(std::get<0>(name));
    if (router == routers_.end() || !router->second) continue;
    HealthTarget target{check, router->second->netns(), health_.verdict(name) == Verdict::kHealthy};
    targets.emplace(name, std::move(target));
  }
  checker_->set_targets(std::move(targets));
  std::set<ObjectKey> checked;
  for (const auto& [key, service] : view_->services())
    if (health_port(*service)) checked.insert(key);
  auto saved = save_health(paths_, health_.documents(checked), view_->health(), health_written_);
  set_error("health documents", saved ? std::nullopt : std::optional<Error>(saved.error()));
}

void Controller::update() {
  plan_ = make();
  std::erase_if(routers_, [&](const auto& entry) { return !plan_.routers.count(entry.first); });
  std::erase_if(applied_, [&](const auto& entry) { return !plan_.routers.count(entry.first); });
  std::erase_if(refusals_, [&](const auto& entry) { return !plan_.routers.count(entry.first); });
  for (const auto& [network, plan] : plan_.routers) apply_router(plan);
  auto host = host_->apply(plan_.host);
  set_error("published ports", host ? std::nullopt : std::optional<Error>(host.error()));
  report_ports();  // first of all: somebody waits for it
  settle();
  watch_health();
  publish();
}

// Whether what is planned for an endpoint's ports is in the kernel.
Realised Controller::realised(const std::string& network, const MappingPlan& mapping) const {
  for (const std::string& object : {"network " + network, std::string("published ports")})
    if (auto error = errors_.find(object); error != errors_.end()) return {false, object + ": " + error->second};
  if (auto refused = refusals_.find(network); refused != refusals_.end())
    for (const auto& refusal : refused->second)
      for (const auto& frontend : mapping.frontends)
        if (refusal.frontend == frontend) return {false, frontend.to_string() + ": " + refusal.reason};
  return {applied_.count(network) > 0, ""};  // not applied: the agent is about to make the router
}

// An error here is one of the next repair(), which does the same again.
void Controller::settle() {
  for (auto& [network, router] : routers_)
    if (auto settled = router ? router->settle() : Result<void>(); !settled)
      log_debug("network " + network + ": " + settled.error().message);
  if (auto settled = host_->settle(); !settled) log_debug("published ports: " + settled.error().message);
}

void Controller::report_ports() {
  auto told = port_reports_.update(
      plan_, [this](const std::string& network, const MappingPlan& mapping) { return realised(network, mapping); });
  set_error("port reports", told ? std::nullopt : std::optional<Error>(told.error()));
}

void Controller::apply_router(const RouterPlan& plan) {
  const std::string& network = plan.network;
  auto& router = routers_[network];
  if (!router || router->replaced()) {
    router.reset();
    applied_.erase(network);
    auto opened = RouterControl::open(plan.netns, kind_);
    if (!opened && opened.error().sys == ENOENT) return;  // the agent is about to make it; a tick will try again
    set_error("network " + network, opened ? std::nullopt : std::optional<Error>(opened.error()));
    if (!opened) return;
    router = std::move(*opened);
  }
  auto before = applied_.find(network);
  if (before != applied_.end() && before->second == plan) return;
  auto refused = router->apply(plan);
  applies_++;
  set_error("network " + network, refused ? std::nullopt : std::optional<Error>(refused.error()));
  if (!refused) {
    applied_.erase(network);
    return;
  }
  applied_[network] = plan;
  refusals_[network] = std::move(*refused);
}

void Controller::repair() {
  bool again = has_errors();
  for (auto& [network, router] : routers_) {
    if (!router || router->replaced()) {
      again = true;
      continue;
    }
    auto repaired = router->repair();
    if (!repaired) {
      applied_.erase(network);
      again = true;
      continue;
    }
    for (const auto& what : *repaired) {
      repairs_[what]++;
      log_warning("network " + network + ": somebody had changed " + what + "; restored");
    }
  }
  auto repaired = host_->repair();
  set_error("published ports", repaired ? std::nullopt : std::optional<Error>(repaired.error()));
  if (repaired)
    for (const auto& what : *repaired) {
      repairs_[what]++;
      log_warning("somebody had changed " + what + "; restored");
    }
  // Somebody may have removed or edited a health document.
  std::erase_if(health_written_, [&](const auto& entry) {
    auto present = view_->health().find(entry.first);
    return present == view_->health().end() || present->second->unhealthy != entry.second.unhealthy;
  });
  if (again)
    update();
  else
    watch_health();
  publish();
}

void Controller::look_at_drains() {
  auto draining = drains_.draining();
  if (draining.empty()) return;
  bool change = drains_.expired(now_ms());
  for (auto& [network, router] : routers_) {
    std::set<BackendName> idle;
    for (const auto& name : draining)
      if (std::get<0>(name) == network) idle.insert(name);
    if (idle.empty() || !router) continue;
    const auto& frontends = plan_.routers[network].frontends;
    std::set<FrontendKey> concerned;
    for (const auto& [key, frontend] : frontends)
      for (const auto& b : frontend.backends)
        if (idle.count({network, frontend.service, b.endpoint})) concerned.insert(key);
    auto counts = router->connections(concerned);
    if (!counts) continue;
    for (const auto& key : concerned)
      for (const auto& b : frontends.at(key).backends)
        if (counts->count({key, b.address, b.port})) idle.erase({network, frontends.at(key).service, b.endpoint});
    for (const auto& name : idle) drains_.finish(name);
    change = change || !idle.empty();
  }
  if (change) update();
}

void Controller::set_error(const std::string& object, const std::optional<Error>& error) {
  if (!error) {
    if (errors_.erase(object)) log_info(object + ": works again");
    return;
  }
  failures_++;
  auto& last = errors_[object];
  if (last != error->message) log_error(object + ": " + error->message);
  last = error->message;
}

void Controller::publish() {
  auto report = std::make_shared<Report>();
  report->balancer = balancer_name(kind_);
  for (const auto& [key, service] : view_->services()) {
    auto& line = report->services[key];
    line.unhealthy = health_.unhealthy(key);
    line.health_transitions = health_.transitions(key);
  }
  for (const auto& [network, router] : plan_.routers) {
    // A service has a frontend per VIP, port and published port; its backends are counted once.
    std::map<std::pair<std::string, std::string>, uint32_t> weights;
    for (const auto& [key, frontend] : router.frontends)
      for (const auto& b : frontend.backends) {
        auto& weight = weights[{frontend.service, b.endpoint}];
        weight = std::max(weight, b.weight);
      }
    for (const auto& [name, weight] : weights) {
      auto service = report->services.find({network, name.first});
      if (service == report->services.end()) continue;
      (weight > 0 ? service->second.serving : service->second.draining)++;
    }
  }
  report->repairs = repairs_;
  report->applies = applies_;
  report->failures = failures_;
  report->routers = static_cast<uint32_t>(plan_.routers.size());
  report->published_ports = static_cast<uint32_t>(plan_.host.ports.size());
  for (const auto& [path, text] : view_->problems()) report->problems.emplace_back(path, text);
  for (const auto& problem : plan_.problems) report->problems.push_back(problem);
  for (const auto& [network, list] : refusals_)
    for (const auto& r : list)
      report->problems.emplace_back("service " + network + "/" + r.service, r.frontend.to_string() + ": " + r.reason);
  for (const auto& error : errors_) report->problems.push_back(error);
  std::set<std::pair<std::string, std::string>> reported(report_->problems.begin(), report_->problems.end());
  for (const auto& problem : report->problems)
    if (!reported.count(problem) && !errors_.count(problem.first)) log_warning(problem.first + ": " + problem.second);
  std::lock_guard lock(mutex_);
  report_ = std::move(report);
}

Report Controller::snapshot() const {
  std::shared_ptr<const Report> report;
  {
    std::lock_guard lock(mutex_);
    report = report_;
  }
  Report copy = *report;
  if (const HealthChecker* checker = counters_) {
    copy.health_checks = checker->checks();
    copy.health_failures = checker->failures();
  }
  return copy;
}

}  // namespace fairlead::lb
