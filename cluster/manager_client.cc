#include "cluster/manager_client.h"

#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace fairlead::cluster {
namespace {

constexpr int kConnectMs = 2000, kHandshakeMs = 4000;

bool same(const HostPort& a, const HostPort& b) { return a.address == b.address && a.port == b.port; }

}  // namespace

ManagerClient::ManagerClient(Paths paths, const Membership& self, const StopSignal& stop)
    : paths_(std::move(paths)), stop_(stop), self_(self) {}

Result<Channel> ManagerClient::connect_at(const HostPort& manager, const Credentials& credentials) {
  auto socket = connect_to(manager, kConnectMs, stop_);
  auto secured = socket ? secure_member(std::move(*socket), credentials, self_.cluster, kHandshakeMs, stop_)
                        : fail(socket.error());
  if (!secured) return fail(secured.error().with("manager " + to_text(manager)));
  return Channel(std::move(secured->transport), stop_);
}

Result<ManagerClient::Connection> ManagerClient::connect() {
  FL_TRY(Credentials credentials, load_credentials(paths_));
  Result<Connection> outcome = fail("no manager is known");
  for (const auto& manager : managers()) {
    auto channel = connect_at(manager, credentials);
    if (!channel) {
      if (channel.error().sys == ECANCELED) return fail(channel.error());
      outcome = fail(channel.error());
      continue;
    }
    std::lock_guard lock(mutex_);
    auto known =
        std::find_if(self_.managers.begin(), self_.managers.end(), [&](const auto& m) { return same(m, manager); });
    if (known != self_.managers.end()) std::rotate(self_.managers.begin(), known, known + 1);
    return Connection{std::move(*channel), manager};
  }
  return outcome;
}

Result<ManagerClient::Connection> ManagerClient::connect_to_one(const HostPort& manager, const Address& from) {
  FL_TRY(Credentials credentials, load_credentials(paths_));
  FL_TRY(Fd socket, connect_to(manager, kConnectMs, stop_, from));
  FL_TRY(Secured secured, secure_member(std::move(socket), credentials, self_.cluster, kHandshakeMs, stop_));
  return Connection{Channel(std::move(secured.transport), stop_), manager};
}

Result<Json> ManagerClient::ask(const Json& request, int timeout_ms) {
  FL_TRY(Connection connection, connect());
  return connection.channel.ask(request, timeout_ms);
}

Result<Json> ManagerClient::ask_at(const HostPort& manager, const Json& request, int timeout_ms) {
  FL_TRY(Credentials credentials, load_credentials(paths_));
  FL_TRY(Channel channel, connect_at(manager, credentials));
  return channel.ask(request, timeout_ms);
}

void ManagerClient::set_managers(std::vector<HostPort> managers) {
  std::lock_guard lock(mutex_);
  auto known = [](const std::vector<HostPort>& list, const HostPort& one) {
    return std::any_of(list.begin(), list.end(), [&](const auto& m) { return same(m, one); });
  };
  bool equal = managers.size() == self_.managers.size() &&
               std::all_of(managers.begin(), managers.end(), [&](const auto& m) { return known(self_.managers, m); });
  if (equal || managers.empty()) return;
  self_.managers = std::move(managers);
  auto saved = update_membership(paths_, [&](Membership& stored) { stored.managers = self_.managers; });
  if (!saved) log_warning(saved.error().message);
}

std::vector<HostPort> ManagerClient::managers() const {
  std::lock_guard lock(mutex_);
  return self_.managers;
}

}  // namespace fairlead::cluster
