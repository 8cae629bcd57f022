// The floor: a program that is started like a CNI plugin and asks the kernel for what `fairlead` asks, and for nothing
// else. No JSON, no libraries, no checks, static. What `fairlead` + `fairlead-ipam` cost above it is ours to answer
// for.
//
// Environment: CNI_COMMAND (ADD or DEL) CNI_CONTAINERID CNI_NETNS CNI_IFNAME as in the CNI specification;
// FLOOR_ROUTER (path of the router's namespace) FLOOR_DIR (for leases and endpoints) FLOOR_IP4 FLOOR_GW4
// and, for dual stack, FLOOR_IP6 FLOOR_GW6. Standard input is read and ignored, a result is printed.
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "bench/netlink_bare.h"

using namespace floor_bench;

namespace {

constexpr unsigned char kGatewayMac[6] = {0x02, 0x57, 0xff, 0xff, 0xff, 0x01};
constexpr int kProtocol = 57;
constexpr uint32_t kMtu = 1450;

struct Attachment {
  const char* container;
  const char* ifname;
  const char* netns;
  const char* router;
  const char* folder;
  const char* ip4;
  const char* ip6;
  unsigned char address[2][16], gateway[2][16];
  char host_ifname[IFNAMSIZ];
  uint32_t host_index, index;
  unsigned char mac[6];
};

[[noreturn]] void fail(const char* what, int error) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(error));
  _exit(1);
}

const char* need(const char* name) {
  const char* value = getenv(name);
  if (!value) fail(name, EINVAL);
  return value;
}

void parse(int family, const char* name, unsigned char* to) {
  if (inet_pton(family, need(name), to) != 1) fail(name, EINVAL);
}

void identify(Attachment* a) {
  a->container = need("CNI_CONTAINERID");
  a->ifname = need("CNI_IFNAME");
  a->router = need("FLOOR_ROUTER");
  a->folder = need("FLOOR_DIR");
  a->ip4 = need("FLOOR_IP4");
  a->ip6 = getenv("FLOOR_IP6");
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char* p = a->container; *p; ++p) hash = (hash ^ static_cast<unsigned char>(*p)) * 0x100000001b3;
  snprintf(a->host_ifname, sizeof a->host_ifname, "c%014llx", static_cast<unsigned long long>(hash >> 8));
}

void enter(const char* netns) {
  int fd = open(netns, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) fail(netns, errno);
  close(fd);
}

size_t width(int family) { return family == AF_INET ? 4 : 16; }

// One queue, as the kernel would use anyway; left to itself it makes one per CPU, switches the others off again and
// waits for an RCU grace period at each end (veth_init_queues).
void one_queue(Requests* r) {
  attribute_u32(r, IFLA_NUM_TX_QUEUES, 1);
  attribute_u32(r, IFLA_NUM_RX_QUEUES, 1);
}

void add_veth(Requests* r, const Attachment* a, int container_fd) {
  auto* link = request<ifinfomsg>(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  link->ifi_index = static_cast<int>(a->host_index);
  link->ifi_flags = link->ifi_change = IFF_UP;
  attribute_text(r, IFLA_IFNAME, a->host_ifname);
  attribute(r, IFLA_ADDRESS, kGatewayMac, 6);
  attribute_u32(r, IFLA_MTU, kMtu);
  one_queue(r);
  rtattr* info = nest(r, IFLA_LINKINFO);
  attribute_text(r, IFLA_INFO_KIND, "veth");
  rtattr* data = nest(r, IFLA_INFO_DATA);
  rtattr* peer = nest(r, VETH_INFO_PEER);
  auto* far = static_cast<ifinfomsg*>(grow(r, sizeof(ifinfomsg)));
  far->ifi_index = static_cast<int>(a->index);
  attribute_text(r, IFLA_IFNAME, a->ifname);
  attribute(r, IFLA_ADDRESS, a->mac, 6);
  attribute_u32(r, IFLA_MTU, kMtu);
  attribute_u32(r, IFLA_NET_NS_FD, static_cast<uint32_t>(container_fd));
  one_queue(r);
  close_nest(r, peer);
  close_nest(r, data);
  close_nest(r, info);
  close_request(r);
}

void link_up(Requests* r, uint32_t index) {
  auto* link = request<ifinfomsg>(r, RTM_NEWLINK, 0);
  link->ifi_index = static_cast<int>(index);
  link->ifi_flags = link->ifi_change = IFF_UP;
  close_request(r);
}

// No fe80:: address. The kernel takes this neither while a link is made (EAFNOSUPPORT) nor, in one request with IFF_UP,
// in time: it brings the link up first (do_setlink). The router's links get it from their namespace's default.
void no_link_local(Requests* r, uint32_t index) {
  auto* link = request<ifinfomsg>(r, RTM_NEWLINK, 0);
  link->ifi_index = static_cast<int>(index);
  rtattr* families = nest(r, IFLA_AF_SPEC);
  rtattr* inet6 = nest(r, AF_INET6);
  unsigned char none = IN6_ADDR_GEN_MODE_NONE;
  attribute(r, IFLA_INET6_ADDR_GEN_MODE, &none, 1);
  close_nest(r, inet6);
  close_nest(r, families);
  close_request(r);
}

void add_neighbour(Requests* r, int family, uint32_t index, const void* address, const unsigned char* mac) {
  auto* n = request<ndmsg>(r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  n->ndm_family = static_cast<unsigned char>(family);
  n->ndm_ifindex = static_cast<int>(index);
  n->ndm_state = NUD_PERMANENT;
  attribute(r, NDA_DST, address, width(family));
  attribute(r, NDA_LLADDR, mac, 6);
  close_request(r);
}

void add_address(Requests* r, int family, uint32_t index, const void* address) {
  auto* m = request<ifaddrmsg>(r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  m->ifa_family = static_cast<unsigned char>(family);
  m->ifa_prefixlen = static_cast<unsigned char>(width(family) * 8);
  m->ifa_flags = IFA_F_NODAD;
  m->ifa_index = index;
  attribute(r, IFA_LOCAL, address, width(family));
  attribute(r, IFA_ADDRESS, address, width(family));
  close_request(r);
}

// destination nullptr: a default route through the gateway.
void add_route(Requests* r, int family, uint32_t index, const void* destination, const void* gateway) {
  auto* m = request<rtmsg>(r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  m->rtm_family = static_cast<unsigned char>(family);
  m->rtm_dst_len = static_cast<unsigned char>(destination ? width(family) * 8 : 0);
  m->rtm_table = RT_TABLE_MAIN;
  m->rtm_protocol = kProtocol;
  m->rtm_scope = gateway || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  m->rtm_type = RTN_UNICAST;
  if (gateway) m->rtm_flags = RTNH_F_ONLINK;
  if (destination) attribute(r, RTA_DST, destination, width(family));
  if (gateway) attribute(r, RTA_GATEWAY, gateway, width(family));
  attribute_u32(r, RTA_OIF, index);
  close_request(r);
}

void write_whole(const char* path, int flags, const char* text, size_t size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0640);
  if (fd < 0 || write(fd, text, size) != static_cast<ssize_t>(size) || close(fd) != 0) fail(path, errno);
}

void lease_path(char* to, size_t size, const Attachment* a, const char* address) {
  snprintf(to, size, "%s/leases/%s", a->folder, address);
}

void endpoint_path(char* to, size_t size, const Attachment* a) {
  snprintf(to, size, "%s/endpoints/%s-%s.json", a->folder, a->container, a->ifname);
}

void write_leases(const Attachment* a) {
  char path[512], text[256];
  int size = snprintf(text, sizeof text, "{\"container\":\"%s\",\"ifname\":\"%s\"}", a->container, a->ifname);
  lease_path(path, sizeof path, a, a->ip4);
  write_whole(path, O_EXCL, text, static_cast<size_t>(size));
  if (!a->ip6) return;
  lease_path(path, sizeof path, a, a->ip6);
  write_whole(path, O_EXCL, text, static_cast<size_t>(size));
}

void write_endpoint(const Attachment* a) {
  char path[512], temporary[520], text[1024];
  int size = snprintf(text, sizeof text,
                      "{\"apiVersion\":1,\"container\":\"%s\",\"ifname\":\"%s\",\"netns\":\"%s\",\"node\":\"n1\","
                      "\"addresses\":[\"%s\",\"%s\"],\"names\":[],\"aliases\":[],\"services\":[],\"state\":\"ready\"}",
                      a->container, a->ifname, a->netns, a->ip4, a->ip6 ? a->ip6 : "");
  endpoint_path(path, sizeof path, a);
  snprintf(temporary, sizeof temporary, "%s.new", path);
  write_whole(temporary, O_TRUNC, text, static_cast<size_t>(size));
  if (rename(temporary, path) != 0) fail(path, errno);
}

// Small numbers: the kernel keeps them in a radix tree, 6 bits a level, one node of 576 bytes each.
void draw_indexes(Attachment* a) {
  uint32_t chance[2];
  if (getrandom(chance, sizeof chance, 0) != sizeof chance) fail("getrandom", errno);
  a->host_index = (1u << 17) | (chance[0] & 0x1ffff);
  a->index = (1u << 5) | (chance[1] & 0x1f);
}

int try_in_router(Attachment* a, int container_fd) {
  draw_indexes(a);
  Requests r;
  add_veth(&r, a, container_fd);
  for (int i = 0; i < (a->ip6 ? 2 : 1); ++i) {
    int family = i ? AF_INET6 : AF_INET;
    add_route(&r, family, a->host_index, a->address[i], nullptr);
    add_neighbour(&r, family, a->host_index, a->address[i], a->mac);
  }
  return run(&r);
}

void in_router(Attachment* a, int container_fd) {
  enter(a->router);
  int error = 0;
  for (int attempt = 0; attempt < 4; ++attempt) {
    error = try_in_router(a, container_fd);
    if (error != EEXIST && error != EBUSY) break;  // a number somebody has
  }
  if (error) fail("requests in the router", error);
}

void in_container(const Attachment* a, int container_fd) {
  Requests r;
  link_up(&r, 1);
  no_link_local(&r, a->index);
  link_up(&r, a->index);
  for (int i = 0; i < (a->ip6 ? 2 : 1); ++i) {
    int family = i ? AF_INET6 : AF_INET;
    add_address(&r, family, a->index, a->address[i]);
    add_neighbour(&r, family, a->index, a->gateway[i], kGatewayMac);
    add_route(&r, family, a->index, nullptr, a->gateway[i]);
  }
  if (setns(container_fd, CLONE_NEWNET) != 0) fail(a->netns, errno);
  if (int error = run(&r)) fail("requests in the container", error);
}

void add(Attachment* a) {
  a->netns = need("CNI_NETNS");
  parse(AF_INET, "FLOOR_IP4", a->address[0]);
  parse(AF_INET, "FLOOR_GW4", a->gateway[0]);
  if (a->ip6) parse(AF_INET6, "FLOOR_IP6", a->address[1]);
  if (a->ip6) parse(AF_INET6, "FLOOR_GW6", a->gateway[1]);
  if (getrandom(a->mac, sizeof a->mac, 0) != sizeof a->mac) fail("getrandom", errno);
  a->mac[0] = 0x02;

  write_leases(a);
  int container_fd = open(a->netns, O_RDONLY | O_CLOEXEC);
  if (container_fd < 0) fail(a->netns, errno);
  in_router(a, container_fd);
  in_container(a, container_fd);
  write_endpoint(a);
  dprintf(STDOUT_FILENO,
          "{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"%s\",\"sandbox\":\"%s\"}],"
          "\"ips\":[{\"address\":\"%s/32\",\"interface\":0}]}\n",
          a->ifname, a->netns, a->ip4);
}

void remove_all(const Attachment* a) {
  Requests r;
  request<ifinfomsg>(&r, RTM_DELLINK, 0);
  attribute_text(&r, IFLA_IFNAME, a->host_ifname);
  close_request(&r);
  enter(a->router);
  int error = run(&r);
  if (error && error != ENODEV) fail("delete link", error);
  char path[512];
  endpoint_path(path, sizeof path, a);
  unlink(path);
  lease_path(path, sizeof path, a, a->ip4);
  unlink(path);
  if (!a->ip6) return;
  lease_path(path, sizeof path, a, a->ip6);
  unlink(path);
}

}  // namespace

int main() {
  if (strcmp(need("CNI_COMMAND"), "VERSION") == 0) return 0;  // what starting any program costs
  char configuration[65536];
  if (read(STDIN_FILENO, configuration, sizeof configuration) < 0) fail("standard input", errno);
  Attachment a{};
  identify(&a);
  if (strcmp(need("CNI_COMMAND"), "ADD") == 0)
    add(&a);
  else
    remove_all(&a);
  return 0;
}
