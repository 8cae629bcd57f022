#include "cluster/associations.h"

#include <algorithm>
#include <cstring>

namespace fairlead::cluster {
namespace {

constexpr uint32_t kFirstSpi = 256;  // RFC 4303 section 2.1
constexpr size_t kNowhere = SIZE_MAX;

// Where in the list, newest first.
size_t place_of(const std::vector<std::string>& epochs, const std::string& id) {
  auto found = std::find(epochs.begin(), epochs.end(), id);
  return found == epochs.end() ? kNowhere : static_cast<size_t>(found - epochs.begin());
}

const std::string* newest_open(const AssociationFacts& facts) {
  for (const auto& epoch : facts.epochs)
    if (facts.open.count(epoch)) return &epoch;
  return nullptr;
}

// What the peer says counts when it speaks of the same two keys: else each would derive another key.
const AssociationDocument* valid(const AssociationFacts& facts, const std::string& name,
                                 const AssociationFacts::Peer& peer) {
  if (!peer.told || peer.told->node != name || peer.told->peer != facts.self) return nullptr;
  return peer.told->own_key == peer.key && peer.told->peer_key == facts.key ? &*peer.told : nullptr;
}

const ReceiveEntry* entry_of(const AssociationDocument* told, uint32_t spi) {
  if (!told || !spi) return nullptr;
  auto found = std::find_if(told->receive.begin(), told->receive.end(), [&](const auto& e) { return e.spi == spi; });
  return found == told->receive.end() ? nullptr : &*found;
}

// The port of the peer to send to; 0: plain ESP. While nothing is heard of it, what it was.
uint16_t port_for(const AssociationFacts& facts, const AssociationDocument* told, const AssociationDocument& own,
                  bool in_udp) {
  if (facts.encapsulation == Encapsulation::kNone) return 0;
  if (facts.encapsulation == Encapsulation::kAuto && !in_udp) return 0;
  return told ? told->udp : own.send ? own.send->udp : uint16_t{0};
}

bool is_gone(const AssociationFacts& facts, const std::string& epoch, int64_t& since) {
  if (facts.epochs.empty() || place_of(facts.epochs, epoch) != kNowhere) {
    since = -1;
    return false;
  }
  if (since < 0) since = facts.now_ms;
  return facts.now_ms - since >= Associations::kGoneEpochMs;
}

}  // namespace

void Associations::adopt(const AssociationDocument& own) {
  documents_[own.peer] = own;
  Pair pair;
  for (const auto& entry : own.receive) pair.inbound[entry.spi];
  if (own.send) pair.sending_epoch = own.send->epoch;
  pair.in_udp = own.send && own.send->udp;
  pairs_[own.peer] = std::move(pair);
}

uint32_t Associations::sending(const std::string& peer) const {
  auto own = documents_.find(peer);
  return own == documents_.end() ? 0 : own->second.sending;
}

Associations::Path Associations::path(const std::string& peer) const {
  auto pair = pairs_.find(peer);
  return pair == pairs_.end() ? Path() : pair->second.path;
}

uint32_t Associations::draw_spi(const AssociationFacts& facts) {
  for (;;) {
    const std::string bytes = random_(sizeof(uint32_t));
    uint32_t spi = 0;
    memcpy(&spi, bytes.data(), sizeof spi);
    bool free = spi >= kFirstSpi;
    for (const auto& [name, pair] : pairs_) free = free && !pair.inbound.count(spi);
    for (const auto& [name, peer] : facts.peers) free = free && !peer.inbound.count(spi);
    if (free) return spi;
  }
}

std::vector<AssociationWork> Associations::plan(const AssociationFacts& facts) {
  std::erase_if(documents_, [&](const auto& item) { return !facts.peers.count(item.first); });
  std::erase_if(pairs_, [&](const auto& item) { return !facts.peers.count(item.first); });
  std::vector<AssociationWork> work;
  for (const auto& [name, peer] : facts.peers) plan_peer(facts, name, peer, work);
  std::stable_sort(work.begin(), work.end(), [](const auto& a, const auto& b) { return a.what < b.what; });
  return work;
}

void Associations::plan_peer(const AssociationFacts& facts, const std::string& name, const AssociationFacts::Peer& peer,
                             std::vector<AssociationWork>& work) {
  AssociationDocument& own = documents_[name];
  Pair& pair = pairs_[name];
  if (own.own_key != facts.key || own.peer_key != peer.key) {
    // Another key on one side: nothing there was can be understood by the other.
    const bool in_udp = pair.in_udp;
    own = {};
    own.node = facts.self, own.peer = name, own.own_key = facts.key, own.peer_key = peer.key;
    pair = {};
    pair.in_udp = in_udp;
  }
  own.udp = facts.udp;
  const AssociationDocument* told = valid(facts, name, peer);
  settle(peer, own, pair);
  forget_lost(facts, peer, own, pair);
  receive(facts, told, own, pair, work);
  answer(facts, told, peer, own, pair);
  judge(facts, told, own, pair);
  offer(facts, told, peer, own, pair);
  send(facts, told, own, pair, work);
}

// After a start: the offer that was written down can be used further only when it is certain what was installed for it.
void Associations::settle(const AssociationFacts::Peer& peer, AssociationDocument& own, Pair& pair) {
  if (pair.settled || !own.send) return;
  for (const auto& entry : peer.told ? peer.told->receive : std::vector<ReceiveEntry>()) {
    if (entry.of != own.send->instance || !peer.outbound.count(entry.spi)) continue;
    // Perhaps it was put into the kernel and not written down any more.
    own.sending = entry.spi;
    pair.used = {entry.spi};
    pair.settled = pair.adopted = true;
    return;
  }
  own.send.reset();
}

void Associations::forget_lost(const AssociationFacts& facts, const AssociationFacts::Peer& peer,
                               AssociationDocument& own, Pair& pair) {
  std::erase_if(own.receive, [&](const ReceiveEntry& e) { return !peer.inbound.count(e.spi); });
  std::erase_if(pair.inbound, [&](const auto& item) { return !peer.inbound.count(item.first); });
  std::erase_if(pair.retired, [&](const auto& item) { return !peer.outbound.count(item.first); });
  if (facts.clock_jumped) {
    own.send.reset();
    own.sending = 0;
    pair.retired.clear();
  }
  if (own.sending && !peer.outbound.count(own.sending)) {
    own.sending = 0;
    own.send.reset();
  }
  if (own.sending && is_gone(facts, pair.sending_epoch, pair.sending_gone_ms)) own.sending = 0;
}

void Associations::receive(const AssociationFacts& facts, const AssociationDocument* told, AssociationDocument& own,
                           Pair& pair, std::vector<AssociationWork>& work) {
  const SendOffer* offered = told && told->send ? &*told->send : nullptr;
  std::erase_if(own.receive, [&](const ReceiveEntry& entry) {
    Inbound& state = pair.inbound[entry.spi];
    const bool wanted = !told || entry.spi == told->sending || (offered && entry.of == offered->instance);
    if (wanted) state.unwanted_ms = -1;
    if (!wanted && state.unwanted_ms < 0) state.unwanted_ms = facts.now_ms;
    const bool over = !wanted && facts.now_ms - state.unwanted_ms >= kGraceMs;
    return is_gone(facts, entry.epoch, state.gone_ms) || over;
  });
  const bool known = offered && std::any_of(own.receive.begin(), own.receive.end(),
                                            [&](const ReceiveEntry& e) { return e.of == offered->instance; });
  if (offered && !known && facts.open.count(offered->epoch)) {
    // Offers that follow one another faster than they are used: the oldest that is not in use makes room.
    if (own.receive.size() >= AssociationDocument::kMaxReceive)
      own.receive.erase(std::find_if(own.receive.begin(), own.receive.end(),
                                     [&](const ReceiveEntry& e) { return e.spi != told->sending; }));
    const ReceiveEntry entry{
        draw_spi(facts), offered->epoch, offered->instance, random_(kAssociationNonceBytes), 0, false};
    own.receive.push_back(entry);
    work.push_back({AssociationWork::kAddInbound,
                    own.peer,
                    {entry.epoch, own.peer, facts.self, entry.of, entry.nonce, entry.spi},
                    offered->udp});
  }
  std::map<uint32_t, Inbound> kept;
  for (const auto& entry : own.receive) kept[entry.spi] = pair.inbound[entry.spi];
  pair.inbound = std::move(kept);
}

// Probes are counted by the kernel like any packet of their association, so traffic answers as well.
void Associations::answer(const AssociationFacts& facts, const AssociationDocument* told,
                          const AssociationFacts::Peer& peer, AssociationDocument& own, Pair& pair) {
  for (auto& entry : own.receive) {
    auto packets = peer.inbound.find(entry.spi);
    if (!told || entry.spi != told->sending || entry.answered == told->probed || packets == peer.inbound.end())
      continue;
    Inbound& state = pair.inbound[entry.spi];
    if (state.heard != told->probed) {
      state.heard = told->probed;
      state.heard_ms = facts.now_ms;
    }
    const bool got = packets->second > state.counted;
    if (!got && facts.now_ms - state.heard_ms < kAnswerMs) continue;
    entry.answered = told->probed;
    entry.got = got;
    state.counted = packets->second;
  }
}

// What the peer says of the last round. It speaks of a round only after it has heard of it: a slow way of the documents
// is no broken way of the packets.
void Associations::judge(const AssociationFacts& facts, const AssociationDocument* told, const AssociationDocument& own,
                         Pair& pair) {
  if (pair.probe.spi != own.sending) pair.watch(own.sending);
  const ReceiveEntry* entry = entry_of(told, own.sending);
  if (!entry || !own.probed || entry->answered != own.probed || pair.probe.counted == own.probed) return;
  pair.probe.counted = own.probed;
  pair.path.arrives = entry->got;
  if (entry->got) {
    pair.path.missed = pair.path.changes = 0;
    return;
  }
  pair.path.missed++;
  pair.probe.next_ms = facts.now_ms + std::min(kLongestPauseMs, kPauseMs << std::min(pair.path.changes, 8u));
  const bool other = facts.encapsulation == Encapsulation::kAuto && (pair.in_udp || told->udp);
  if (pair.path.missed < kMissedRounds || !other) return;
  pair.in_udp = !pair.in_udp;
  pair.path.changes++;
}

std::vector<std::string> Associations::probes(const AssociationFacts& facts) {
  std::vector<std::string> names;
  for (const auto& [name, peer] : facts.peers) {
    AssociationDocument& own = documents_.at(name);
    Pair& pair = pairs_.at(name);
    if (!entry_of(valid(facts, name, peer), own.sending)) continue;
    if (pair.probe.spi != own.sending) pair.watch(own.sending);
    const bool waits = pair.probe.sent && pair.probe.counted != own.probed;
    if (pair.path.arrives || waits || facts.now_ms < pair.probe.next_ms) continue;
    pair.probe.sent = true;
    own.probed++;
    names.push_back(name);
  }
  return names;
}

void Associations::offer(const AssociationFacts& facts, const AssociationDocument* told,
                         const AssociationFacts::Peer& peer, AssociationDocument& own, Pair& pair) {
  const std::string* newest = newest_open(facts);
  if (!newest) return;
  bool due = !own.send;
  // Not back to an older one when the newest cannot be opened for a moment.
  if (own.send) due = place_of(facts.epochs, own.send->epoch) > place_of(facts.epochs, *newest);
  auto current = peer.outbound.find(own.sending);
  if (current != peer.outbound.end() && pair.used.count(own.sending)) due = due || current->second;
  // The receiver has lost what is in use, and may name an SPI this offer was used with before.
  if (pair.adopted && told && own.send)
    due = due || std::none_of(told->receive.begin(), told->receive.end(),
                              [&](const ReceiveEntry& e) { return e.spi == own.sending; });
  const uint16_t port = port_for(facts, told, own, pair.in_udp);
  if (told && own.send) due = due || own.send->udp != port;
  if (!due || (!port && facts.encapsulation == Encapsulation::kUdp)) return;
  own.send = SendOffer{random_(kAssociationNonceBytes), *newest, port};
  pair.settled = true;
  pair.adopted = false;
  pair.used.clear();
}

void Associations::send(const AssociationFacts& facts, const AssociationDocument* told, AssociationDocument& own,
                        Pair& pair, std::vector<AssociationWork>& work) {
  pair.before = own.sending;
  if (!told || !own.send || !pair.settled || !facts.open.count(own.send->epoch)) return;
  const ReceiveEntry* next = nullptr;
  for (const auto& entry : told->receive) {
    if (entry.of != own.send->instance || entry.epoch != own.send->epoch) continue;
    if (entry.spi == own.sending) return;  // in use, and the receiver has it
    if (!pair.adopted && !pair.used.count(entry.spi)) next = &entry;
  }
  if (!next) return;
  pair.used.insert(next->spi);
  if (own.sending) pair.retired[own.sending] = facts.now_ms + kGraceMs;
  own.sending = next->spi;
  pair.sending_epoch = own.send->epoch;
  pair.sending_gone_ms = -1;
  work.push_back({AssociationWork::kAddOutbound,
                  own.peer,
                  {next->epoch, facts.self, own.peer, next->of, next->nonce, next->spi},
                  own.send->udp});
}

void Associations::failed(const AssociationWork& work) {
  auto own = documents_.find(work.peer);
  if (own == documents_.end()) return;
  AssociationDocument& document = own->second;
  Pair& pair = pairs_[work.peer];
  if (work.what == AssociationWork::kAddInbound) {
    std::erase_if(document.receive, [&](const ReceiveEntry& e) { return e.spi == work.name.spi; });
    pair.inbound.erase(work.name.spi);
  } else if (work.what == AssociationWork::kAddOutbound && document.sending == work.name.spi) {
    document.sending = pair.before;
    pair.retired.erase(pair.before);
    document.send.reset();  // another instance, another SPI
  }
}

std::vector<AssociationWork> Associations::removals(const AssociationFacts& facts) {
  std::vector<AssociationWork> work;
  for (const auto& [name, peer] : facts.peers) {
    const AssociationDocument& own = documents_.at(name);
    Pair& pair = pairs_.at(name);
    auto remove = [&, &peer_name = name](AssociationWork::What what, uint32_t spi) {
      AssociationWork item{what, peer_name, {}, 0};
      item.name.spi = spi;
      work.push_back(std::move(item));
    };
    for (const auto& [spi, packets] : peer.inbound)
      if (!pair.inbound.count(spi)) remove(AssociationWork::kRemoveInbound, spi);
    for (const auto& [spi, worn] : peer.outbound) {
      auto retired = pair.retired.find(spi);
      const bool rests = retired != pair.retired.end() && facts.now_ms < retired->second;
      if (spi != own.sending && !rests) remove(AssociationWork::kRemoveOutbound, spi);
    }
  }
  return work;
}

}  // namespace fairlead::cluster
