#include "agent/associations.h"

#include <linux/xfrm.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <set>

#include "agent/esp_in_udp.h"
#include "base/log.h"
#include "cluster/encoding.h"
#include "cluster/epoch_seal.h"
#include "cluster/node_keys.h"
#include "kernel/udp.h"

namespace fairlead::agent {
namespace {

constexpr int kWaitMs = 500, kIdleMs = 2000, kWallsMs = 50;
// A folder that is made just now is not watched yet.
constexpr int64_t kRereadMs = 2000;
constexpr uint32_t kPriority = 100;
// In a round: one that is lost by chance is no answer.
constexpr int kProbes = 3;
// Time set by hand or a machine that was a snapshot: docs/encryption.md.
constexpr int64_t kJumpMs = 5000;

using What = cluster::AssociationWork::What;

int64_t clock_ms(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

kernel::Policy sending_policy(const Address& self, const Address& peer, uint16_t port, uint32_t spi) {
  kernel::Policy policy;
  policy.direction = kernel::Direction::kOut;
  policy.source = {self, self.bits()};
  policy.destination = {peer, peer.bits()};
  policy.port = port;
  policy.priority = kPriority;
  policy.esp = kernel::Template{self, peer, kernel::kRequestId, spi};
  return policy;
}

}  // namespace

AssociationKeeper::AssociationKeeper(Paths paths, const std::atomic<bool>& walled)
    : paths_(std::move(paths)), walled_(walled), engine_(cluster::random_bytes) {
  clock_difference_ = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME);
  thread_ = std::thread([this] { run(); });
}

AssociationKeeper::~AssociationKeeper() {
  stop_.set();
  thread_.join();
}

std::string AssociationKeeper::metrics() const {
  std::lock_guard lock(mutex_);
  return metrics_;
}

std::map<std::string, std::string> AssociationKeeper::problems() const {
  std::lock_guard lock(mutex_);
  return problems_;
}

void AssociationKeeper::run() {
  while (!stop_.is_set()) {
    auto done = watch();
    if (done) done = step();
    if (!done && done.error().message != told_) log_error(done.error().with("associations").message);
    told_ = done ? "" : done.error().message;
    if (done)
      wait();
    else
      stop_.sleep_ms(kWaitMs);
  }
}

Result<void> AssociationKeeper::watch() {
  if (!watcher_) {
    FL_TRY(watcher_, StateWatcher::open());
  }
  for (const auto& folder : {paths_.networks(), paths_.nodes(), paths_.run + "/remote",
                             cluster::sealed_copies_folder(paths_), cluster::remote_associations_folder(paths_)})
    FL_CHECK(watcher_->watch({0, "", false, folder}));
  return watcher_->drain(
      [&](StateWatcher::What, const StateWatcher::Folder&, const std::string&) { documents_changed_ = true; });
}

void AssociationKeeper::wait() {
  const bool idle = documents_.ports.empty();
  pollfd fds[] = {{stop_.fd(), POLLIN, 0}, {watcher_->fd(), POLLIN, 0}, {events_ ? events_->fd() : -1, POLLIN, 0}};
  (void)::poll(fds, 3, idle ? kIdleMs : walled_ ? kWaitMs : kWallsMs);
}

void AssociationKeeper::note_clock() {
  const int64_t difference = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME);
  if (std::abs(difference - clock_difference_) > kJumpMs) {
    clock_jumped_ = true;
    log_warning("the clock has jumped by " + std::to_string((difference - clock_difference_) / 1000) +
                " s; all security associations are made anew");
  }
  clock_difference_ = difference;
}

// Those that are listed and sealed to this node. What is not listed any more is forgotten.
Result<void> AssociationKeeper::open_epochs() {
  if (!seal_key_) {
    FL_TRY(seal_key_, cluster::load_node_key(cluster::seal_key_path(paths_)));
    if (!seal_key_) return {};
    public_key_ = cluster::public_key_of(*seal_key_);
  }
  std::set<std::string> listed;
  for (const auto& epoch : documents_.epochs.epochs) listed.insert(epoch.id);
  std::erase_if(secrets_, [&](const auto& item) { return !listed.count(item.first); });
  for (const auto& id : listed) {
    auto copy = documents_.copies.find(id);
    if (secrets_.count(id) || copy == documents_.copies.end()) continue;
    auto secret = cluster::open_epoch(id, copy->second.sealed, *seal_key_);
    if (!secret) {
      documents_.problems.push_back(secret.error().message);
      documents_.copies.erase(copy);  // until there is another one
      continue;
    }
    secrets_.emplace(id, std::move(*secret));
  }
  return {};
}

// What there is. strange: ours, but with nobody we have anything to do with.
Result<void> AssociationKeeper::gather(cluster::AssociationFacts& facts,
                                       std::vector<std::pair<Address, uint32_t>>& strange) {
  facts.now_ms = clock_ms(CLOCK_BOOTTIME);
  facts.self = documents_.self;
  facts.key = cluster::key_fingerprint(public_key_);
  facts.clock_jumped = clock_jumped_;
  for (const auto& epoch : documents_.epochs.epochs) facts.epochs.push_back(epoch.id);
  for (const auto& [id, secret] : secrets_) facts.open.insert(id);
  std::map<Address, std::string> by_address;
  std::set<Address> unmanaged;
  for (const auto& [name, peer] : documents_.peers) {
    if (peer.seal_key.empty()) {
      unmanaged.insert(peer.address);
      continue;
    }
    by_address[peer.address] = name;
    auto& fact = facts.peers[name];
    fact.key = cluster::key_fingerprint(peer.seal_key);
    if (auto told = documents_.told.find(name); told != documents_.told.end()) fact.told = told->second;
  }
  facts.encapsulation = documents_.encapsulation;
  facts.udp = udp_;
  forms_.clear();
  FL_TRY(auto states, kernel::dump_states(*socket_));
  for (const auto& state : states) {
    if (state.request_id != kernel::kRequestId || !state.esp || state.spi == 0) continue;
    const bool out = state.source == documents_.address;
    const Address& other = out ? state.destination : state.source;
    auto peer = by_address.find(other);
    const bool between = out || state.destination == documents_.address;
    if (!between || peer == by_address.end()) {
      if (!unmanaged.count(other)) strange.emplace_back(state.destination, state.spi);
      continue;
    }
    auto& fact = facts.peers[peer->second];
    const bool worn = state.packets >= documents_.limits.packets || state.bytes >= documents_.limits.bytes;
    if (out)
      fact.outbound[state.spi] = worn;
    else
      fact.inbound[state.spi] = state.packets;
    if (out) forms_[state.spi] = state.encapsulation ? state.encapsulation->destination_port : uint16_t{0};
  }
  return {};
}

Result<void> AssociationKeeper::step() {
  note_clock();
  if (documents_changed_ || clock_ms(CLOCK_BOOTTIME) - read_at_ms_ >= kRereadMs) {
    const std::string self = documents_.self;
    FL_TRY(documents_, read_association_documents(paths_));
    documents_changed_ = false;
    read_at_ms_ = clock_ms(CLOCK_BOOTTIME);
    if (!self.empty() && self != documents_.self) adopted_ = false;
  }
  const bool alone = documents_.ports.empty() || !documents_.address;
  if (alone) documents_.peers.clear();
  if (!alone && !walled_) return {};
  hold_port();
  if (alone && managed_.empty() && !adopted_) return {};
  if (!socket_) {
    FL_TRY(socket_, kernel::open_xfrm());
    FL_TRY(events_, kernel::open_xfrm());
    if (!socket_ || !events_) return {};  // the kernel has no IPsec; agent/ipsec_guard.h says so
    for (unsigned group : {XFRMNLGRP_SA, XFRMNLGRP_EXPIRE, XFRMNLGRP_POLICY}) FL_CHECK(events_->join(group));
  }
  // Drained before the dump: what happens during it wakes again. Lost ones do not matter.
  (void)events_->receive([](const nlmsghdr&) {});
  FL_CHECK(open_epochs());
  for (const auto& problem : documents_.problems)
    if (said_.insert(problem).second) log_warning("associations: " + problem);
  if (documents_.problems.empty()) said_.clear();
  if (!seal_key_) return {};
  if (!adopted_) {
    engine_ = cluster::Associations(cluster::random_bytes);
    written_ = read_own_associations(paths_, documents_.self);
    for (const auto& [peer, document] : written_) engine_.adopt(document);
    adopted_ = true;
  }
  cluster::AssociationFacts facts;
  std::vector<std::pair<Address, uint32_t>> strange;
  FL_CHECK(gather(facts, strange));
  clock_jumped_ = false;
  FL_CHECK(add(engine_.plan(facts)));
  FL_CHECK(set_policies());
  probe(engine_.probes(facts));
  FL_CHECK(remove(engine_.removals(facts), strange));
  FL_CHECK(write_own_associations(paths_, engine_.documents(), written_));
  describe(facts);
  if (alone) adopted_ = false;
  return {};
}

Result<Secret> AssociationKeeper::key_of(const cluster::AssociationWork& work) const {
  auto secret = secrets_.find(work.name.epoch);
  auto peer = documents_.peers.find(work.peer);
  if (secret == secrets_.end() || peer == documents_.peers.end()) return fail("epoch " + work.name.epoch + " is gone");
  return cluster::derive_association_key(secret->second, work.name, *seal_key_, peer->second.seal_key);
}

Result<void> AssociationKeeper::add(const std::vector<cluster::AssociationWork>& work) {
  kernel::Batch batch;
  std::vector<const cluster::AssociationWork*> sent;
  const KeyLimits& limits = documents_.limits;
  for (const auto& item : work) {
    auto key = key_of(item);
    if (!key) {
      engine_.failed(item);
      continue;
    }
    kernel::StateSpec spec;
    const Address& peer = documents_.peers.at(item.peer).address;
    const bool out = item.what == What::kAddOutbound;
    spec.source = out ? documents_.address : peer;
    spec.destination = out ? peer : documents_.address;
    spec.spi = item.name.spi;
    if (item.udp) spec.encapsulation = kernel::Encapsulation{out ? documents_.udp_port : item.udp, item.udp};
    if (out) {
      spec.soft_packets = limits.packets;
      spec.soft_bytes = limits.bytes;
      spec.hard_packets = limits.packets + limits.packets / 4;
      spec.hard_bytes = limits.bytes + limits.bytes / 4;
    }
    batch.push_back(kernel::add_state(spec, *key));
    sent.push_back(&item);
  }
  if (batch.empty()) return {};
  std::vector<std::string> texts;
  auto errors = socket_->run_each(std::move(batch), &texts);
  size_t refused = 0;
  for (size_t i = 0; i < sent.size(); i++) {
    if (errors && (*errors)[i] == 0) {
      installed_++;
      continue;
    }
    engine_.failed(*sent[i]);
    refused++;
    if (errors && !refused_ && refused == 1)
      log_warning("associations: " + (i < texts.size() ? texts[i] : std::to_string((*errors)[i])) +
                  "; it is tried again");
  }
  refused_ = refused > 0;
  if (!errors) return fail(errors.error());
  return {};
}

// For every port and peer one, pinned to the association in use. In place: no packet finds a moment without one.
Result<void> AssociationKeeper::set_policies() {
  std::map<Address, uint32_t> wanted;
  for (const auto& [name, peer] : documents_.peers)
    if (!peer.seal_key.empty()) wanted[peer.address] = engine_.sending(name);
  for (const auto& [name, address] : managed_) wanted.emplace(address, 0);  // gone, or somewhere else now
  FL_TRY(auto there, kernel::dump_policies(*socket_));
  std::map<std::pair<Address, uint16_t>, const kernel::Policy*> present;
  for (const auto& policy : there) {
    const bool ours = policy.direction == kernel::Direction::kOut && policy.esp &&
                      policy.esp->request_id == kernel::kRequestId && wanted.count(policy.destination.address);
    if (ours) present[{policy.destination.address, policy.port}] = &policy;
  }
  kernel::Batch batch;
  for (const auto& [address, spi] : wanted) {
    if (!spi) continue;
    for (uint16_t port : documents_.ports) {
      const auto policy = sending_policy(documents_.address, address, port, spi);
      auto found = present.find({address, port});
      if (found == present.end() || !(*found->second == policy)) batch.push_back(kernel::set_policy(policy));
      if (found != present.end()) present.erase(found);
    }
  }
  for (const auto& [place, policy] : present) batch.push_back(kernel::delete_policy(*policy));
  if (!batch.empty()) FL_CHECK(socket_->run(std::move(batch)));
  managed_.clear();
  for (const auto& [name, peer] : documents_.peers)
    if (!peer.seal_key.empty()) managed_[name] = peer.address;
  return {};
}

Result<void> AssociationKeeper::remove(const std::vector<cluster::AssociationWork>& work,
                                       const std::vector<std::pair<Address, uint32_t>>& strange) {
  kernel::Batch batch;
  for (const auto& item : work) {
    const Address& peer = documents_.peers.at(item.peer).address;
    const bool out = item.what == What::kRemoveOutbound;
    batch.push_back(kernel::delete_state(out ? peer : documents_.address, item.name.spi));
  }
  for (const auto& [destination, spi] : strange) batch.push_back(kernel::delete_state(destination, spi));
  if (batch.empty()) return {};
  return socket_->run(std::move(batch));
}

// To a port of encrypted networks, so that the policies make them packets of the association in use. They end in the
// other kernel: no VXLAN header begins with zeros. What cannot be sent is missed there.
void AssociationKeeper::probe(const std::vector<std::string>& peers) {
  if (peers.empty()) return;
  auto socket = kernel::open_udp(documents_.address, 0);
  if (!socket) return;
  constexpr char kNoVxlan[8]{};
  for (const auto& name : peers)
    for (int i = 0; i < kProbes; i++)
      (void)kernel::send_udp(*socket, documents_.peers.at(name).address, documents_.ports.front(),
                             {kNoVxlan, sizeof kNoVxlan});
}

// The socket for ESP in UDP, as long as there is anybody to receive from.
void AssociationKeeper::hold_port() {
  const bool wanted = !documents_.peers.empty() && documents_.encapsulation != cluster::Encapsulation::kNone;
  auto held = hold_esp_in_udp(paths_, wanted ? documents_.address : Address(), documents_.udp_port);
  udp_ = held && wanted ? documents_.udp_port : uint16_t{0};
  const std::string trouble = held ? "" : held.error().message;
  if (trouble != udp_trouble_ && !held) log_warning("associations: " + trouble);
  udp_trouble_ = trouble;
}

}  // namespace fairlead::agent
