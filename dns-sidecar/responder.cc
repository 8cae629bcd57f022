#include "dns-sidecar/responder.h"

namespace fairlead::dns {

std::string_view peer_bytes(const Peer& peer) {
  if (peer.any.sa_family == AF_INET) return {reinterpret_cast<const char*>(&peer.v4.sin_addr), 4};
  if (peer.any.sa_family == AF_INET6) return {reinterpret_cast<const char*>(&peer.v6.sin6_addr), 16};
  return {};
}

size_t Responder::respond(const Channel& channel, const Peer& peer, const uint8_t* data, size_t size, uint8_t* out,
                          size_t capacity, bool* forwarded) {
  Query query;
  std::string_view source = peer_bytes(peer);
  (channel.tcp ? stats_.tcp_queries : stats_.udp_queries).add();
  Decision decision =
      decide(*snapshot_, {channel.network, source, channel.tcp}, data, size, query, out, capacity, spread_);
  *forwarded = decision.verdict == Verdict::kForward;
  switch (decision.verdict) {
    case Verdict::kDrop:
      stats_.ignored.add();
      return 0;
    case Verdict::kAnswer:
      stats_.rcodes[decision.rcode & 15].add();
      return decision.size;
    case Verdict::kForward:
      break;
  }
  stats_.forwarded.add();
  ForwardRequest& request = batch_.emplace_back();
  fill_request(query, channel.tcp, request);
  request.network = decision.forward_network;
  request.client_network = channel.network;
  request.client = Address::from_bytes(peer.any.sa_family, source.data());
  request.origin.worker = worker_;
  request.origin.channel = channel.number;
  request.origin.peer = peer;
  return 0;
}

const std::vector<ForwardRequest>& Responder::flush() {
  refused_.clear();
  if (batch_.empty()) return refused_;
  forwarder_.push_all(batch_);
  refused_.swap(batch_);
  return refused_;
}

}  // namespace fairlead::dns
