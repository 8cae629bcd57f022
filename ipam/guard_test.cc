// Who may have which address: blocks, reservations, sticky addresses, through the library's front door.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "ipam/blocks.h"
#include "ipam/ipam.h"
#include "ipam/lease.h"
#include "ipam/reservations.h"
#include "ipam/resolv_conf.h"
#include "ipam/sticky.h"
#include "state/address_records.h"

namespace fairlead::ipam {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

class GuardTest : public testing::Test {
 protected:
  GuardTest() {
    char name[] = "/tmp/guard-test-XXXXXX";
    folder_ = mkdtemp(name);
    paths_.run = folder_ + "/run";
    paths_.state = folder_ + "/state";
    network_.name = "net";
    network_.subnets = {*Prefix::parse("10.5.0.0/24")};
    fs::create_directories(paths_.state);
    write(paths_.node_document(), R"({"name":"n1"})");
  }
  ~GuardTest() override { fs::remove_all(folder_); }

  static void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path + "~") << text;
    fs::rename(path + "~", path);
  }
  void reserve(const std::string& name, const std::string& addresses) {
    write(paths_.reservation("net", name),
          R"({"network":"net","name":")" + name + R"(","addresses":[)" + addresses + "]}");
  }
  void set_blocks(const std::string& node, const std::string& blocks) {
    write(paths_.blocks("net", node), R"({"network":"net","node":")" + node + R"(","blocks":[)" + blocks + "]}");
  }
  cni::CniResult<std::vector<Granted>> ask(const std::string& container, const Texts& names = {},
                                           const std::string& wanted = "", bool sticky = false) {
    IpamRequest request{"net", container, "eth0", "", false, range_sets(network_), {}};
    auto own = own_blocks(paths_, "net");
    if (own && *own) {
      restrict_to(request.sets, (*own)->blocks);
      request.node = (*own)->node;
    }
    if (!wanted.empty()) request.wanted.push_back(*Address::parse(wanted));
    request.names = names;
    request.sticky = sticky;
    request.sticky_ms = 3600 * 1000;
    return allocate(paths_, request);
  }
  std::string give(const std::string& container, const Texts& names = {}, const std::string& wanted = "",
                   bool sticky = false) {
    auto granted = ask(container, names, wanted, sticky);
    return granted ? granted->front().address.address.to_string() : "error: " + granted.error().msg;
  }
  void take_back(const std::string& container) { ASSERT_TRUE(release(paths_, "net", container, "eth0")); }
  static bool says(const std::string& text, const std::string& needle) { return text.find(needle) != text.npos; }

  Paths paths_;
  std::string folder_;
  Network network_;
};

TEST_F(GuardTest, AReservedAddressIsOneNamesAndNobodyElses) {
  reserve("db", R"("10.5.0.3")");
  EXPECT_EQ(give("a"), "10.5.0.2");
  EXPECT_EQ(give("b"), "10.5.0.4");  // round the reserved one
  EXPECT_TRUE(says(give("c", {"web"}, "10.5.0.3"), "is reserved for db"));
  EXPECT_EQ(give("d", {"x", "DB"}), "10.5.0.3");  // names are compared as DNS does
  auto second = ask("e", {"db"});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, cni::kAddressInUse);
  EXPECT_TRUE(says(second.error().msg, "reserved for db, is in use by container d eth0"));
  EXPECT_EQ(give("e", {"db"}, "10.5.0.9"), "10.5.0.9");  // who asks for another address gets that
  take_back("d");
  EXPECT_EQ(give("f", {"db"}, "10.5.0.3"), "10.5.0.3");
}

TEST_F(GuardTest, AReservationThatComesOrGoesIsSeenByTheNextAllocation) {
  EXPECT_EQ(give("a"), "10.5.0.2");
  for (int i = 3; i < 9; i++) {  // as fast as can be: a folder's time is not finer than a tick
    reserve("db", "\"10.5.0." + std::to_string(i) + "\"");
    EXPECT_TRUE(says(give("x", {}, "10.5.0." + std::to_string(i)), "is reserved for db")) << i;
  }
  EXPECT_EQ(give("b", {}, "10.5.0.3"), "10.5.0.3");
  fs::remove(paths_.reservation("net", "db"));
  EXPECT_EQ(give("c", {}, "10.5.0.8"), "10.5.0.8");
}

TEST_F(GuardTest, ABadReservationStopsItsOwnNameOnly) {
  reserve("db", R"("10.5.0.300")");
  reserve("one", R"("10.5.0.7")");
  reserve("two", R"("10.5.0.7")");
  reserve("far", R"("10.9.0.7")");
  reserve("pool", R"("10.5.0.250")");
  EXPECT_EQ(give("a"), "10.5.0.2");
  EXPECT_TRUE(says(give("b", {"db"}), "/addresses/0"));
  EXPECT_EQ(give("c", {"one"}), "10.5.0.7");
  EXPECT_TRUE(says(give("d", {"two"}), "is reserved for one"));
  EXPECT_TRUE(says(give("e", {"far"}), "is outside 10.5.0.0/24"));
  EXPECT_TRUE(says(give("f", {"pool"}), "kept for VIPs"));
}

TEST_F(GuardTest, ReservationsCountWhenThePoolLooksFull) {
  network_.subnets = {*Prefix::parse("10.5.0.0/29")};
  reserve("db", R"("10.5.0.4")");
  for (const char* container : {"a", "b", "c", "d"}) EXPECT_FALSE(says(give(container), "error")) << container;
  std::string full = give("e");
  EXPECT_TRUE(says(full, "of 5 addresses 4 are leased and 1 reserved")) << full;
  EXPECT_EQ(give("f", {"db"}), "10.5.0.4");
}

TEST_F(GuardTest, TheIndexIsRebuiltWhereverItsMakerWasStopped) {
  reserve("db", R"("10.5.0.3")");
  EXPECT_EQ(give("a"), "10.5.0.2");
  fs::remove(paths_.reserved("net") + "/.stamp");
  fs::remove(paths_.reserved("net") + "/10.5.0.3");
  fs::create_symlink("gone", paths_.reserved("net") + "/10.5.0.9");
  EXPECT_EQ(give("b"), "10.5.0.4");
  EXPECT_EQ(give("c", {}, "10.5.0.9"), "10.5.0.9");
  fs::remove_all(paths_.run);
  EXPECT_TRUE(says(give("d", {}, "10.5.0.3"), "is reserved for db"));
}

TEST_F(GuardTest, OnlyThisNodesBlocksAreGivenOneAfterTheOther) {
  set_blocks("n2", R"("10.5.0.0/28")");
  set_blocks("n1", R"("10.5.0.32/30","10.5.0.16/30")");
  Texts given;
  for (int i = 0; i < 4; i++) given.push_back(give("c" + std::to_string(i)));
  EXPECT_EQ(given, (Texts{"10.5.0.32", "10.5.0.33", "10.5.0.34", "10.5.0.35"}));
  take_back("c1");
  EXPECT_EQ(give("d"), "10.5.0.33");  // before the next block is begun
  EXPECT_EQ(give("e"), "10.5.0.16");
  EXPECT_TRUE(says(give("f", {}, "10.5.0.5"), "is in block 10.5.0.0/28 of node n2; this is node n1"));
  EXPECT_TRUE(says(give("f", {}, "10.5.0.99"), "is in no block"));
  EXPECT_TRUE(says(give("f", {}, "10.5.0.1"), "gateway"));
  EXPECT_EQ(give("f", {}, "10.5.0.19"), "10.5.0.19");
  give("g"), give("h");
  EXPECT_TRUE(says(give("i"), "(blocks of node n1): of 8 addresses 8 are leased"));
}

TEST_F(GuardTest, GatewayBroadcastAndVipsInABlockAreNotGiven) {
  set_blocks("n1", R"("10.5.0.0/30")");
  EXPECT_EQ(give("a"), "10.5.0.2");
  EXPECT_EQ(give("b"), "10.5.0.3");
  EXPECT_TRUE(says(give("c"), "no free address"));
  set_blocks("n1", R"("10.5.0.0/30","10.5.0.232/29")");  // the VIP pool begins with .240
  EXPECT_EQ(give("c"), "10.5.0.232");
  EXPECT_TRUE(says(give("d", {}, "10.5.0.241"), "VIPs"));
}

TEST_F(GuardTest, BlocksOfOthersAloneLeaveNothing) {
  fs::create_directories(paths_.blocks("net"));
  EXPECT_FALSE(*own_blocks(paths_, "net")) << "an empty folder is no block";
  set_blocks("n2", R"("10.5.0.0/25")");
  auto own = own_blocks(paths_, "net");
  ASSERT_TRUE(own && *own);
  EXPECT_TRUE((*own)->blocks.empty());
  write(paths_.blocks("net", "n1"), "{");
  EXPECT_FALSE(own_blocks(paths_, "net")) << "what this node may give is not guessed";
  set_blocks("n1", R"("10.5.0.128/26")");
  write(paths_.blocks("net", "n2"), "{");
  own = own_blocks(paths_, "net");
  ASSERT_TRUE(own && *own) << "others' documents do not matter";
  EXPECT_EQ((*own)->blocks.size(), 1u);
}

TEST_F(GuardTest, AStickyAddressComesBackAndIsSparedAsLongAsOthersAreFree) {
  network_.subnets = {*Prefix::parse("10.5.0.0/29")};
  EXPECT_EQ(give("a", {"web"}, "", true), "10.5.0.2");
  take_back("a");
  fs::remove_all(paths_.run);  // a reboot
  Texts others{give("b"), give("c")};
  EXPECT_EQ(others, (Texts{"10.5.0.3", "10.5.0.4"}));
  EXPECT_TRUE(says(give("x", {}, "10.5.0.2"), "is kept for web"));
  EXPECT_EQ(give("d", {"web"}, "", true), "10.5.0.2");
  take_back("d");
  EXPECT_EQ(give("e"), "10.5.0.5");
  EXPECT_EQ(give("f"), "10.5.0.6");
  EXPECT_EQ(give("g"), "10.5.0.2") << "nothing else is free";
  take_back("b");
  EXPECT_EQ(give("h", {"web"}, "", true), "10.5.0.3");
  take_back("h");
  EXPECT_EQ(give("i", {"web"}, "", true), "10.5.0.3") << "what it had last";
}

TEST_F(GuardTest, ASecondEndpointOfAStickyNameDoesNotTakeTheNameOver) {
  EXPECT_EQ(give("a", {"web"}, "", true), "10.5.0.2");
  EXPECT_EQ(give("b", {"web"}, "", true), "10.5.0.3");
  take_back("b");
  take_back("a");
  EXPECT_EQ(give("c", {"web"}, "", true), "10.5.0.2");
  EXPECT_EQ(give("d"), "10.5.0.4");
}

TEST_F(GuardTest, WhatIsOverIsCollected) {
  StickyStore store(paths_, "net");
  auto nobody = [](const Address&) { return false; };
  EXPECT_EQ(give("a", {"web"}, "", true), "10.5.0.2");
  ASSERT_TRUE(store.collect([](const Address&) { return true; }));
  EXPECT_EQ(store.find("web")->released, 0u);
  ASSERT_TRUE(store.collect(nobody));  // the node was switched off: nobody released it
  EXPECT_NE(store.find("web")->released, 0u);
  EXPECT_EQ(store.owner(*Address::parse("10.5.0.2")), "web");
  auto old = *store.find("web");
  old.released -= 3601;
  write(paths_.sticky("net") + "/names/web.json", encode(old));
  write(paths_.sticky("net") + "/names/bad.json", "{");
  fs::create_symlink("nobody", paths_.sticky("net") + "/addresses/10.5.0.9");
  ASSERT_TRUE(store.collect(nobody));
  EXPECT_FALSE(store.find("web"));
  EXPECT_TRUE(fs::is_empty(paths_.sticky("net") + "/names"));
  EXPECT_TRUE(fs::is_empty(paths_.sticky("net") + "/addresses"));
}

TEST_F(GuardTest, OfAnAllocationAndAReservationAtOnceOneWins) {
  // What fairleadctl does: the document, then the look for leases.
  for (int round = 0; round < 30; round++) {
    const std::string address = "10.5.0." + std::to_string(2 + round);
    std::string given;
    std::thread allocator([&] { given = give("c" + std::to_string(round), {}, address); });
    reserve("db" + std::to_string(round), "\"" + address + "\"");
    auto holder = LeaseStore(paths_, "net").holder(*Address::parse(address));
    bool reserver_saw = holder && *holder;
    allocator.join();
    EXPECT_TRUE(given != address || reserver_saw) << "both have " << address;
  }
}

TEST(ResolvConf, IsReadAsHostLocalDoes) {
  auto dns = parse_resolv_conf(
      "# x\n; y\nnameserver 192.0.2.1\n  nameserver\t192.0.2.2 # z\nnameserver\ndomain a.b\n"
      "search c d\nsearch e\noptions ndots:2 rotate\nsortlist 1.2.3.4\nnameserver fe80::1%eth0");
  EXPECT_EQ(dns.nameservers, (Texts{"192.0.2.1", "192.0.2.2", "fe80::1%eth0"}));
  EXPECT_EQ(dns.domain, "a.b");
  EXPECT_EQ(dns.search, (Texts{"c", "d", "e"}));
  EXPECT_EQ(dns.options, (Texts{"ndots:2", "rotate"}));
  EXPECT_TRUE(parse_resolv_conf("").empty());
  EXPECT_TRUE(parse_resolv_conf("\n\n#\n").empty());
}

}  // namespace
}  // namespace fairlead::ipam
