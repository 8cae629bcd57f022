// The publisher's thread of Member: the node's own documents, its lease, its certificate.
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "cluster/clock_skew.h"
#include "cluster/encoding.h"
#include "cluster/key_documents.h"
#include "cluster/member.h"
#include "cluster/roles.h"
#include "cluster/rotation.h"
#include "state/watcher.h"

namespace fairlead::cluster {
namespace {

constexpr int kAskMs = 8000, kRetryMs = 200, kMaxRetryMs = 2000;
constexpr int64_t kCheckMs = 30000, kHurryMs = 10000, kHurryAgainMs = 2000, kClockForgetMs = 90000;
// Between two renewals of which the second is due by the date: where the clock and the manager's differ by more than
// the certificate's life, it always is.
constexpr int64_t kMaxRenewalPauseMs = 60000;

Feed::Documents documents_of(const Json& answer) {
  Feed::Documents documents;
  auto found = answer.find("documents");
  if (found == answer.end() || !found->is_object()) return documents;
  for (const auto& [key, value] : found->items())
    if (value.is_string()) documents[key] = value.get<std::string>();
  return documents;
}

// Sends what differs. A document the managers refuse is told once and counts as sent until it changes.
Result<void> send_differences(Channel& channel, const Feed::Documents& wanted, Feed::Documents& stored) {
  auto refused = [](const Error& error) { return error.sys == EINVAL || error.sys == EACCES; };
  auto send = [&](const Json& request) -> Result<void> {
    FL_CHECK(channel.ask(request, kAskMs));
    return {};
  };
  for (const auto& request : differences(wanted, stored)) {
    auto sent = send(request);
    if (sent) continue;
    if (!refused(sent.error())) return sent;
    const Json puts = request.value("put", Json::object());  // items() refers to it
    for (const auto& [key, value] : puts.items()) {
      auto one = send({{"op", "write"}, {"put", {{key, value}}}});
      if (!one && !refused(one.error())) return one;
      if (!one) log_warning("cluster: " + one.error().message);
    }
    for (const auto& key : request.value("remove", Json::array())) {
      auto one = send({{"op", "write"}, {"remove", {key}}});
      if (!one && !refused(one.error())) return one;
    }
  }
  stored = wanted;
  return {};
}

void wait_for_change(std::array<int, 2> folders, const StopSignal& stop, int64_t until_ms) {
  pollfd fds[] = {{folders[0], POLLIN, 0}, {folders[1], POLLIN, 0}, {stop.fd(), POLLIN, 0}};
  (void)::poll(fds, 3, static_cast<int>(std::clamp<int64_t>(until_ms - now_ms(), 0, 1000)));
}

}  // namespace

void Member::publish() {
  int wait = kRetryMs;
  do {
    auto done = publish_once();
    wait = done ? kRetryMs : std::min(wait * 2, kMaxRetryMs);
    if (!done && done.error().sys != ECANCELED) log_debug(done.error().with("publish").message);
    // By the manager's clock, whatever this machine's says.
    if (!done && done.error().sys == EKEYEXPIRED) renewal_at_ = 0;
  } while (stop_.sleep_ms(wait));
}

// Whether the certificate, or what this node trusts, is not what the cluster's authority is now; then hurry_at_ms_ says
// when to renew: not all at once, and not again and again while the managers are not ready themselves.
bool Member::authority_changed(const CertificateInfo& certificate) {
  std::string text;
  {
    std::lock_guard lock(mutex_);
    text = authority_;
  }
  const std::string seen = text + std::to_string(certificate.not_after) + certificate.issuer;
  if (text.empty() || seen == looked_at_) return false;
  auto rotation = decode_rotation(text);
  auto trusted = load_secret(PkiPaths(paths_).authorities());
  if (!rotation || !trusted) return false;
  if (certificate.issuer == rotation->root_id && *trusted == rotation->bundle()) {
    looked_at_ = seen;
    hurry_at_ms_ = 0;
    return false;
  }
  if (hurry_at_ms_ == 0) {
    static thread_local std::mt19937_64 random{std::random_device{}()};
    const int64_t most = std::min(kHurryMs, (certificate.not_after - certificate.not_before) * 100);
    hurry_at_ms_ = now_ms() + std::uniform_int_distribution<int64_t>(0, most)(random);
  }
  return true;
}

// The time is drawn once for each certificate.
bool Member::renewal_due() {
  auto pem = load_secret(PkiPaths(paths_).own());
  auto info = pem ? inspect_certificate(*pem) : fail(pem.error());
  if (!info) return false;
  certificate_hash_ = std::hash<std::string>()(*pem);
  if (authority_changed(*info)) return now_ms() >= hurry_at_ms_;
  if (info->not_after != renewal_of_) {
    static thread_local std::mt19937_64 random{std::random_device{}()};
    renewal_of_ = info->not_after;
    renewal_at_ = renewal_time(*info, std::uniform_real_distribution<double>(0, 1)(random));
  }
  const int64_t pause = std::min(kMaxRenewalPauseMs, (info->not_after - info->not_before) * 1000 / 4);
  return wall_seconds() >= renewal_at_ && (!renewed_at_ms_ || now_ms() >= renewed_at_ms_ + pause);
}

Result<void> Member::renew(Channel& channel) {
  FL_TRY(std::string key, make_key());
  FL_TRY(std::string request, make_request(key));
  FL_TRY(Json answer, channel.ask({{"op", "renew"}, {"request", request}}, kAskMs));
  const std::string certificate = text_at(answer, "certificate");
  FL_TRY(CertificateInfo info, inspect_certificate(certificate));
  if (info.identity.name != self_.name) return fail("the manager sent a certificate that is not ours");
  // What is trusted first: the managers may come with certificates of another authority now. Managers have it from the
  // store (Registry::follow_rotation).
  const std::string trusted = text_at(answer, "authorities");
  FL_CHECK(authority_id(trusted));
  if (!self_.is_manager()) FL_CHECK(save_secret(PkiPaths(paths_).authorities(), trusted));
  FL_CHECK(save_secret(PkiPaths(paths_).own(), key + certificate));
  renewed_at_ms_ = now_ms();
  if (hurry_at_ms_) hurry_at_ms_ = now_ms() + kHurryAgainMs;
  {
    std::lock_guard lock(mutex_);
    generation_++;
  }
  log_info("cluster: the certificate is renewed");
  renewed_();
  return {};
}

Result<void> Member::publish_once() {
  if (self_.is_manager()) {
    // Expired while the machine was off: nobody would let it in, and it can sign for itself.
    FL_TRY(std::string pem, load_secret(PkiPaths(paths_).own()));
    FL_TRY(CertificateInfo info, inspect_certificate(pem));
    if (wall_seconds() >= info.not_after) {
      FL_CHECK(renew_manager_certificate(paths_, self_, info.not_after - info.not_before));
      renewed_();
    }
  }
  const bool due = renewal_due();
  const size_t certificate = certificate_hash_;
  FL_TRY(auto connection, client_.connect());
  if (due) return renew(connection.channel);
  FL_TRY(auto view, StateView::open(paths_));
  return publish_on(connection.channel, *view, certificate);
}

// A manager's answer that tells its time, to what was asked at this one's `asked`.
void Member::compare_clock(const Json& answer, int64_t asked) {
  const std::string manager = text_at(answer, "manager");
  const int64_t time = time_at(answer, "time");
  if (manager.empty() || manager == self_.name || time == 0) return;
  std::map<std::string, std::string> said;
  {
    std::lock_guard lock(mutex_);
    Clock& clock = clocks_[manager];
    clock = {noted_skew(clock.ahead, (asked + wall_seconds()) / 2 - time), now_ms()};
    for (auto& [name, known] : clocks_) {
      if (now_ms() - known.heard_ms > kClockForgetMs) known.ahead = 0;
      said["clock/" + name] = known.ahead == 0 ? ""
                                               : "this machine's clock is " + skew_text(known.ahead) + " manager " +
                                                     name + "'s; set right the one that is wrong";
    }
  }
  for (const auto& [key, text] : said) set_trouble(key, text);
}

// A manager is connected to itself; what else would show that its clock is wrong?
void Member::ask_other_managers_clocks() {
  for (const auto& manager : client_.managers()) {
    if (manager.address == self_.address.address && manager.port == self_.address.port) continue;
    const int64_t asked = wall_seconds();
    if (auto answer = client_.ask_at(manager, {{"op", "clock"}}, kAskMs)) compare_clock(*answer, asked);
  }
}

// The node's public keys, as run/keys.json says (fairlead-agent writes it). A manager that does not know this yet, or
// refuses, does not stop the rest: without keys nothing encrypted leaves the node.
Result<void> Member::announce(Channel& channel, std::optional<PublicKeys>& announced) {
  auto keys = load_public_keys(paths_);
  if (!keys || !*keys || announced == *keys) return {};
  announced = *keys;
  auto told = channel.ask(
      {{"op", "announce"}, {"sealKey", to_base64((*keys)->seal)}, {"wireguardKey", to_base64((*keys)->wireguard)}},
      kAskMs);
  if (told || told.error().sys == ETIMEDOUT || told.error().sys == ECONNRESET)
    return told ? Result<void>() : fail(told.error());
  log_warning(told.error().with("cluster: telling this node's public keys").message);
  return {};
}

// certificate: hash of the one this connection was made with. A manager gets a new one from itself when the authority
// is exchanged (Registry::follow_rotation), and all others wait for being shown it.
Result<void> Member::publish_on(Channel& channel, StateView& view, size_t certificate) {
  Feed::Documents stored;
  std::optional<PublicKeys> announced;
  FL_TRY(auto associations, StateWatcher::open());
  FL_CHECK(make_folders(associations_folder(paths_)));
  FL_CHECK(associations.watch({0, "", false, associations_folder(paths_)}));
  int64_t check_at = 0, live_at = 0;
  while (!stop_.is_set()) {
    if (status().state == "held") return fail("the managers' store has gone back", ERANGE);
    if (renewal_due()) return renew(channel);
    if (certificate_hash_ != certificate) {
      std::lock_guard lock(mutex_);
      generation_++;
      return {};
    }
    if (takes_part(self_.role)) {
      if (now_ms() >= live_at) {
        const int64_t asked = wall_seconds();
        FL_TRY(Json answer, channel.ask({{"op", "live"}, {"time", asked}}, kAskMs));
        compare_clock(answer, asked);
        live_at = now_ms() + std::max<int64_t>(1, number_at(answer, "lease", 4)) * 250;
      }
      if (now_ms() >= check_at) {
        FL_TRY(Json answer, channel.ask({{"op", "own"}}, kAskMs));
        stored = documents_of(answer);
        check_at = now_ms() + kCheckMs;
        FL_CHECK(view.rescan());
      } else {
        FL_CHECK(view.refresh());
      }
      FL_CHECK(associations.drain([](StateWatcher::What, const StateWatcher::Folder&, const std::string&) {}));
      FL_CHECK(announce(channel, announced));
      auto wanted = own_documents(view, self_.name);
      FL_CHECK(add_associations(paths_, self_.name, wanted));
      FL_CHECK(send_differences(channel, wanted, stored));
    } else if (now_ms() >= live_at) {
      FL_CHECK(channel.ask({{"op", "status"}}, kAskMs));  // or the manager hangs up
      live_at = now_ms() + kCheckMs;
    }
    wait_for_change({view.fd(), associations.fd()}, stop_, live_at);
  }
  return fail("stopped", ECANCELED);
}

}  // namespace fairlead::cluster
