#include "dns-sidecar/udp_batch.h"

#include <cerrno>

namespace fairlead::dns {
namespace {

constexpr int kRounds = 4;  // batches from one socket before the others get their turn

socklen_t length_of(const Peer& peer) { return peer.any.sa_family == AF_INET ? sizeof peer.v4 : sizeof peer.v6; }

uint16_t port_of(const Peer& peer) { return peer.any.sa_family == AF_INET ? peer.v4.sin_port : peer.v6.sin6_port; }

}  // namespace

UdpBatch::UdpBatch() : slots_(std::make_unique<std::array<Slot, kBatch>>()) {
  in_ = {};
  out_ = {};
  for (size_t i = 0; i < kBatch; i++) {
    Slot& slot = (*slots_)[i];
    in_vectors_[i] = {slot.query.data(), slot.query.size()};
    in_[i].msg_hdr.msg_iov = &in_vectors_[i];
    in_[i].msg_hdr.msg_iovlen = 1;
    in_[i].msg_hdr.msg_name = &slot.peer;
    in_[i].msg_hdr.msg_namelen = sizeof slot.peer;
    out_[i].msg_hdr.msg_iov = &out_vectors_[i];
    out_[i].msg_hdr.msg_iovlen = 1;
  }
}

void UdpBatch::serve(int fd, const Responder::Channel& channel, Responder& responder) {
  for (int round = 0; round < kRounds; round++) {
    int received = recvmmsg(fd, in_.data(), kBatch, MSG_DONTWAIT, nullptr);
    // An error is EAGAIN or the ICMP answer to an earlier send; neither concerns the next query.
    if (received <= 0) return;
    size_t answers = answer_all(static_cast<size_t>(received), channel, responder);
    send_all(fd, answers, responder);
    if (received < static_cast<int>(kBatch)) return;
  }
}

size_t UdpBatch::answer_all(size_t received, const Responder::Channel& channel, Responder& responder) {
  size_t answers = 0;
  for (size_t i = 0; i < received; i++) {
    Slot& slot = (*slots_)[i];
    in_[i].msg_hdr.msg_namelen = sizeof slot.peer;  // the kernel wrote the address's length
    if (port_of(slot.peer) == 0) continue;          // nobody can be answered there
    bool forwarded = false;
    size_t size = responder.respond(channel, slot.peer, slot.query.data(), in_[i].msg_len, slot.answer.data(),
                                    slot.answer.size(), &forwarded);
    if (size == 0) continue;
    out_vectors_[answers] = {slot.answer.data(), size};
    out_[answers].msg_hdr.msg_name = &slot.peer;
    out_[answers].msg_hdr.msg_namelen = length_of(slot.peer);
    answers++;
  }
  return answers;
}

void UdpBatch::send_all(int fd, size_t count, Responder& responder) {
  size_t done = 0;
  while (done < count) {
    int sent = sendmmsg(fd, out_.data() + done, static_cast<unsigned>(count - done), MSG_DONTWAIT);
    if (sent > 0) {
      done += static_cast<size_t>(sent);
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    // The first one was refused (send buffer full, firewall, no route); the others may still go.
    responder.stats().lost.add();
    done++;
  }
}

bool UdpBatch::send(int fd, const Peer& peer, const uint8_t* data, size_t size) {
  return sendto(fd, data, size, MSG_DONTWAIT, &peer.any, length_of(peer)) == static_cast<ssize_t>(size);
}

}  // namespace fairlead::dns
