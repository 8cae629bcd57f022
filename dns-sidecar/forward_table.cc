#include "dns-sidecar/forward_table.h"

#include <sys/random.h>

#include <algorithm>

namespace fairlead::dns {
namespace {

// RFC 5452 section 9.2: ids nobody can guess. The kernel's generator, 128 at a time.
uint16_t random_id() {
  thread_local uint16_t pool[128];
  thread_local size_t left = 0;
  if (left == 0) {
    for (size_t got = 0; got < sizeof pool;) {
      ssize_t n = getrandom(reinterpret_cast<char*>(pool) + got, sizeof pool - got, 0);
      if (n > 0) got += static_cast<size_t>(n);
    }
    left = 128;
  }
  return pool[--left];
}

// How the budget is spent: one resolver is asked three times, two twice each, more at most six times in all.
Millis patience(size_t servers) { return servers == 1 ? 1000 : servers == 2 ? 900 : 600; }
size_t max_turns(size_t servers) { return servers == 1 ? 3 : servers == 2 ? 4 : 6; }

}  // namespace

ForwardTable::ForwardTable(UpstreamTransport& transport, ReplySink& sink, ForwardLimits limits)
    : transport_(transport),
      sink_(sink),
      limits_(limits),
      host_(std::make_shared<std::vector<ServerAddress>>()),
      scratch_(kMaxTcpBytes + 1) {}
ForwardTable::~ForwardTable() = default;

void ForwardTable::set_servers(const std::vector<ServerAddress>& host,
                               const std::map<uint32_t, std::vector<ServerAddress>>& networks) {
  auto keep = [](std::vector<ServerAddress> list) {
    if (list.size() > kMaxServers) list.resize(kMaxServers);
    return std::make_shared<const std::vector<ServerAddress>>(std::move(list));
  };
  host_ = keep(host);
  networks_.clear();
  for (const auto& [slot, list] : networks) networks_[slot] = keep(list);
  std::set<ServerAddress> used(host_->begin(), host_->end());
  for (const auto& [slot, list] : networks_) used.insert(list->begin(), list->end());
  std::erase_if(health_, [&](const auto& entry) { return !used.count(entry.first); });
  failures_.clear();
  failure_order_.clear();
}

ForwardTable::Servers ForwardTable::servers_for(uint32_t network) const {
  auto it = networks_.find(network);
  return it != networks_.end() ? it->second : host_;
}

bool ForwardTable::is_silent(const ServerAddress& server) const {
  auto it = health_.find(server);
  return it != health_.end() && it->second.silent;
}

bool ForwardTable::known_failure(Millis now, const std::string& key) {
  while (!failure_order_.empty() && (failure_order_.front().first <= now || failure_order_.size() > kMaxFailures)) {
    auto it = failures_.find(failure_order_.front().second);
    if (it != failures_.end() && it->second == failure_order_.front().first) failures_.erase(it);
    failure_order_.pop_front();
  }
  return failures_.count(key) != 0;
}

void ForwardTable::submit(Millis now, const ForwardRequest& request) {
  stats_.requests++;
  Servers servers = servers_for(request.network);
  std::string key = forward_key(request) + std::to_string(reinterpret_cast<uintptr_t>(servers.get()));
  bool failed = known_failure(now, key);
  if (failed) stats_.from_failure_cache++;
  if (failed || servers->empty()) {
    stats_.failed++;
    size_t n = write_client_failure(kServFail, request, scratch_.data());
    return sink_.reply(request.origin, scratch_.data(), n);
  }
  if (auto it = by_key_.find(key); it != by_key_.end()) {
    stats_.merged++;
    add_waiter(*it->second, request);
    while (waiters_ > limits_.waiters) evict_oldest_of_greediest();
    return;
  }
  make_room();
  Exchange* exchange = start(now, request, std::move(key), std::move(servers));
  add_waiter(*exchange, request);
  const bool has_good = !is_silent((*exchange->servers)[exchange->order.front()]);
  if (has_good && !request.origin.tcp) probe_silent(now, request, *exchange->servers);
  next_turn(now, *exchange);
}

ForwardTable::Exchange* ForwardTable::start(Millis now, const ForwardRequest& request, std::string key,
                                            Servers servers) {
  auto exchange = std::make_unique<Exchange>();
  exchange->number = next_number_++;
  exchange->key = std::move(key);
  exchange->question = request;
  exchange->deadline = now + kBudget;
  exchange->failed.resize(servers->size());
  for (size_t pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < servers->size(); i++)
      if (is_silent((*servers)[i]) == (pass == 1)) exchange->order.push_back(i);
  exchange->servers = std::move(servers);
  exchange->timer = timers_.emplace(exchange->deadline, exchange->number);
  Exchange* result = exchange.get();
  if (!result->key.empty()) by_key_[result->key] = result;
  exchanges_[result->number] = std::move(exchange);
  return result;
}

void ForwardTable::count_client(const ClientKey& client, size_t before, size_t after) {
  if (before) by_count_.erase({before, client});
  if (after)
    by_count_.emplace(after, client);
  else
    clients_.erase(client);
}

void ForwardTable::add_waiter(Exchange& exchange, const ForwardRequest& request) {
  ClientKey client{request.client_network, request.client};
  Queue& queue = clients_[client];
  queue.push_back({request, &exchange});
  exchange.waiters.emplace_back(client, std::prev(queue.end()));
  count_client(client, queue.size() - 1, queue.size());
  waiters_++;
}

void ForwardTable::make_room() {
  while ((exchanges_.size() >= limits_.exchanges || waiters_ >= limits_.waiters) && !by_count_.empty())
    evict_oldest_of_greediest();
}

void ForwardTable::evict_oldest_of_greediest() {
  ClientKey client = by_count_.rbegin()->second;
  auto waiter = clients_.at(client).begin();
  Exchange& exchange = *waiter->exchange;
  stats_.evicted++;
  size_t n = write_client_failure(kServFail, waiter->request, scratch_.data());
  sink_.reply(waiter->request.origin, scratch_.data(), n);
  std::erase_if(exchange.waiters, [&](const auto& w) { return w.first == client && w.second == waiter; });
  remove_waiter(client, waiter);
  if (exchange.waiters.empty()) finish(exchange);
}

void ForwardTable::remove_waiter(const ClientKey& client, Queue::iterator waiter) {
  Queue& queue = clients_.at(client);
  queue.erase(waiter);
  waiters_--;
  count_client(client, queue.size() + 1, queue.size());
}

void ForwardTable::send(Millis now, Exchange& exchange, size_t server) {
  Attempt attempt;
  attempt.server = server;
  do attempt.id = random_id();
  while (attempt.id == exchange.question.id);
  attempt.sent = now;
  attempt.open = true;
  uint8_t query[kMaxUpstreamQuery];
  size_t n = write_upstream_query(exchange.question, attempt.id, query);
  AttemptId id = exchange.number << 8 | exchange.attempts.size();
  stats_.sent++;
  attempt.open = transport_.send(id, (*exchange.servers)[server], query, n, exchange.question.origin.tcp);
  if (!attempt.open) exchange.failed[server] = true;
  exchange.attempts.push_back(attempt);
}

// Silent resolvers get a copy of a question now and then; an answer makes them good again. Nobody waits for it, and it
// goes on when the question itself has been answered.
void ForwardTable::probe_silent(Millis now, const ForwardRequest& request, const std::vector<ServerAddress>& servers) {
  for (const auto& server : servers) {
    auto it = health_.find(server);
    if (it == health_.end() || !it->second.silent || it->second.next_probe > now) continue;
    it->second.next_probe = now + kProbeEvery;
    auto alone = std::make_shared<const std::vector<ServerAddress>>(1, server);
    Exchange* probe = start(now, request, "", std::move(alone));
    probe->turns = max_turns(1);
    send(now, *probe, 0);
    if (probe->failed[0]) finish(*probe);
  }
}

// Asks the next resolver that has not failed; when all have, that is the answer.
void ForwardTable::next_turn(Millis now, Exchange& exchange) {
  const size_t servers = exchange.order.size();
  bool sent = false;
  while (!sent && exchange.turns < max_turns(servers) &&
         std::find(exchange.failed.begin(), exchange.failed.end(), false) != exchange.failed.end()) {
    size_t server = exchange.order[exchange.turns++ % servers];
    if (exchange.failed[server]) continue;
    send(now, exchange, server);
    sent = exchange.attempts.back().open;
  }
  if (std::find(exchange.failed.begin(), exchange.failed.end(), false) == exchange.failed.end())
    return fail(now, exchange);
  Millis next = sent && exchange.turns < max_turns(servers) ? now + patience(servers) : exchange.deadline;
  timers_.erase(exchange.timer);
  exchange.timer = timers_.emplace(std::min(next, exchange.deadline), exchange.number);
}

ForwardTable::Exchange* ForwardTable::find(AttemptId id, Attempt*& attempt) {
  auto it = exchanges_.find(id >> 8);
  if (it == exchanges_.end() || (id & 255) >= it->second->attempts.size()) return nullptr;
  attempt = &it->second->attempts[id & 255];
  return attempt->open ? it->second.get() : nullptr;
}

void ForwardTable::on_answer(Millis now, AttemptId id, const uint8_t* data, size_t size) {
  Attempt* attempt = nullptr;
  Exchange* exchange = find(id, attempt);
  if (!exchange) return;
  UpstreamAnswer answer;
  Judged judged = judge_answer(exchange->question, attempt->id, data, size, answer);
  if (judged == Judged::kBogus) {
    stats_.bogus++;
    return;
  }
  Health& health = health_[(*exchange->servers)[attempt->server]];
  health.last_answer = now;
  health.silent = false;
  if (judged == Judged::kFailed) return give_up_on(now, *exchange, attempt->server);
  if (!exchange->key.empty()) stats_.answered++;
  for (const auto& [client, waiter] : exchange->waiters) {
    size_t n = write_client_answer(answer, waiter->request, scratch_.data());
    sink_.reply(waiter->request.origin, scratch_.data(), n);
  }
  finish(*exchange);
}

void ForwardTable::on_error(Millis now, AttemptId id) {
  Attempt* attempt = nullptr;
  Exchange* exchange = find(id, attempt);
  if (!exchange) return;
  Health& health = health_[(*exchange->servers)[attempt->server]];
  if (!health.silent) health.next_probe = now + kProbeEvery;
  health.silent = true;
  give_up_on(now, *exchange, attempt->server);
}

void ForwardTable::give_up_on(Millis now, Exchange& exchange, size_t server) {
  exchange.failed[server] = true;
  for (size_t i = 0; i < exchange.attempts.size(); i++) {
    if (exchange.attempts[i].server != server || !exchange.attempts[i].open) continue;
    exchange.attempts[i].open = false;
    transport_.cancel(exchange.number << 8 | i);
  }
  // An earlier question that failed late changes nothing while the current one is still out.
  bool waiting = std::any_of(exchange.attempts.begin(), exchange.attempts.end(), [&](const Attempt& a) {
    return a.open && now < a.sent + patience(exchange.order.size());
  });
  if (!waiting) next_turn(now, exchange);
}

void ForwardTable::on_time(Millis now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Exchange& exchange = *exchanges_.at(timers_.begin()->second);
    // Not this question's silence but the resolver's: nothing has come from it since.
    for (const auto& attempt : exchange.attempts) {
      Health& health = health_[(*exchange.servers)[attempt.server]];
      if (!attempt.open || now < attempt.sent + patience(exchange.order.size()) || health.last_answer >= attempt.sent)
        continue;
      if (!health.silent) health.next_probe = now + kProbeEvery;
      health.silent = true;
    }
    if (now >= exchange.deadline)
      fail(now, exchange);
    else
      next_turn(now, exchange);
  }
}

void ForwardTable::fail(Millis now, Exchange& exchange) {
  if (exchange.key.empty()) return finish(exchange);
  stats_.failed++;
  auto [it, fresh] = failures_.insert_or_assign(exchange.key, now + kFailureTime);
  failure_order_.emplace_back(it->second, exchange.key);
  for (const auto& [client, waiter] : exchange.waiters) {
    size_t n = write_client_failure(kServFail, waiter->request, scratch_.data());
    sink_.reply(waiter->request.origin, scratch_.data(), n);
  }
  finish(exchange);
}

void ForwardTable::finish(Exchange& exchange) {
  for (size_t i = 0; i < exchange.attempts.size(); i++)
    if (exchange.attempts[i].open) transport_.cancel(exchange.number << 8 | i);
  for (const auto& [client, waiter] : exchange.waiters) remove_waiter(client, waiter);
  timers_.erase(exchange.timer);
  if (!exchange.key.empty()) by_key_.erase(exchange.key);
  exchanges_.erase(exchange.number);
}

}  // namespace fairlead::dns
