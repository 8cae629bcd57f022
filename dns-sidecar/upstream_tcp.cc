#include "dns-sidecar/upstream_tcp.h"

#include <ares.h>
#include <sys/epoll.h>

#include <algorithm>

namespace fairlead::dns {

struct TcpUpstream::Channel {
  ares_channel channel = nullptr;
  size_t out = 0;  // questions c-ares has
  ~Channel() {
    if (channel) ares_destroy(channel);
  }
};

// Lives as long as c-ares may call back.
struct TcpUpstream::Ticket {
  TcpUpstream* upstream;
  Channel* channel;
  AttemptId attempt;
};

TcpUpstream::TcpUpstream(int epoll, uint64_t tag, uint16_t port) : epoll_(epoll), tag_(tag), port_(port) {
  ares_library_init(ARES_LIB_INIT_ALL);
}

TcpUpstream::~TcpUpstream() {
  channels_.clear();
  ares_library_cleanup();
}

TcpUpstream::Channel* TcpUpstream::channel_for(const ServerAddress& server) {
  if (auto it = channels_.find(server); it != channels_.end()) return it->second.get();
  // A set of resolvers that changed often must not leave channels behind for ever.
  if (channels_.size() > 64) std::erase_if(channels_, [](const auto& c) { return c.second->out == 0; });
  ares_options options{};
  // NOCHECKRESP: SERVFAIL and REFUSED come back as they are. Lookups and ndots are set so that no file is read.
  options.flags = ARES_FLAG_USEVC | ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = static_cast<int>(ForwardTable::kBudget);
  options.tries = 1;
  options.ndots = 1;
  char lookups[] = "b";
  options.lookups = lookups;
  options.sock_state_cb = on_state;
  options.sock_state_cb_data = this;
  in_addr none{};
  options.servers = &none;
  options.nservers = 1;
  auto channel = std::make_unique<Channel>();
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_LOOKUPS |
             ARES_OPT_SOCK_STATE_CB | ARES_OPT_SERVERS | ARES_OPT_DOMAINS;
  if (ares_init_options(&channel->channel, &options, mask) != ARES_SUCCESS) return nullptr;
  ares_addr_port_node node{};
  node.family = server.address.family();
  memcpy(&node.addr, server.address.bytes(), server.address.size());
  node.tcp_port = port_;
  node.udp_port = port_;
  if (ares_set_servers_ports(channel->channel, &node) != ARES_SUCCESS) return nullptr;
  Channel* result = channel.get();
  channels_[server] = std::move(channel);
  return result;
}

bool TcpUpstream::send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size) {
  Channel* channel = server.scope.empty() ? channel_for(server) : nullptr;
  if (!channel) return false;
  live_.insert(attempt);
  channel->out++;
  // c-ares may call back from inside; the result waits for collect().
  ares_send(channel->channel, data, static_cast<int>(size), on_answer, new Ticket{this, channel, attempt});
  return true;
}

void TcpUpstream::on_answer(void* data, int status, int, unsigned char* answer, int size) {
  std::unique_ptr<Ticket> ticket(static_cast<Ticket*>(data));
  ticket->channel->out--;
  if (status == ARES_EDESTRUCTION || !ticket->upstream->live_.erase(ticket->attempt)) return;
  Result result;
  result.attempt = ticket->attempt;
  result.failed = status != ARES_SUCCESS || !answer;
  if (!result.failed) result.data.assign(answer, answer + size);
  ticket->upstream->results_.push_back(std::move(result));
}

void TcpUpstream::on_state(void* data, int fd, int readable, int writable) {
  auto* self = static_cast<TcpUpstream*>(data);
  if (!readable && !writable) {
    epoll_ctl(self->epoll_, EPOLL_CTL_DEL, fd, nullptr);
    return;
  }
  epoll_event event{(readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u),
                    {.u64 = self->tag_ | static_cast<uint32_t>(fd)}};
  if (epoll_ctl(self->epoll_, EPOLL_CTL_MOD, fd, &event) != 0) epoll_ctl(self->epoll_, EPOLL_CTL_ADD, fd, &event);
}

void TcpUpstream::on_event(int fd, uint32_t events) {
  // c-ares finds the connection by descriptor; a channel that does not own it does nothing.
  int readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? fd : ARES_SOCKET_BAD;
  int writable = events & EPOLLOUT ? fd : ARES_SOCKET_BAD;
  for (auto& [server, channel] : channels_)
    if (channel->out > 0) ares_process_fd(channel->channel, readable, writable);
}

void TcpUpstream::collect(std::vector<Result>& results) {
  for (auto& [server, channel] : channels_)
    if (channel->out > 0) ares_process_fd(channel->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  results.swap(results_);
}

int TcpUpstream::timeout() const {
  if (!results_.empty()) return 0;
  int least = -1;
  for (const auto& [server, channel] : channels_) {
    timeval tv{};
    if (channel->out == 0 || !ares_timeout(channel->channel, nullptr, &tv)) continue;
    int ms = static_cast<int>(tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1);
    if (least < 0 || ms < least) least = ms;
  }
  return least;
}

}  // namespace fairlead::dns
