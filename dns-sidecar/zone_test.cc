#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "dns-sidecar/testing.h"

namespace fairlead::dns {
namespace {

using namespace testing;

struct Thing {
  uint64_t hash;
  std::string key;
  int value;
};

TEST(Table, AgreesWithAMapUnderRandomChangesAndKeepsOldVersionsIntact) {
  std::mt19937 random(1);
  std::map<std::string, int> model;
  Table<Thing> table, old;
  std::map<std::string, int> old_model;
  for (int round = 0; round < 400; round++) {
    std::vector<Table<Thing>::Change> changes;
    for (unsigned i = 0; i < 1 + random() % 20; i++) {
      std::string key = std::to_string(random() % 3000);
      bool gone = random() % 3 == 0;
      if (gone)
        model.erase(key);
      else
        model[key] = round;
      changes.push_back(
          {hash_bytes(key), key, gone ? nullptr : std::make_shared<Thing>(Thing{hash_bytes(key), key, round})});
    }
    table = table.with(changes);
    if (round == 200) old = table, old_model = model;
  }
  auto check = [](const Table<Thing>& t, const std::map<std::string, int>& m) {
    EXPECT_EQ(t.size(), m.size());
    for (int i = 0; i < 3000; i++) {
      std::string key = std::to_string(i);
      const Thing* thing = t.find(hash_bytes(key), key);
      auto it = m.find(key);
      ASSERT_EQ(thing != nullptr, it != m.end()) << key;
      EXPECT_TRUE(!thing || thing->value == it->second) << key;
    }
  };
  check(table, model);
  check(old, old_model);
}

class ZoneTest : public ::testing::Test {
 protected:
  std::vector<std::string> a(const std::string& name, const std::string& source, const std::string& net = "net1") {
    return decide(*builder_.publish(), builder_.slot(net), source, ask(name, kTypeA)).answers;
  }
  void net(const std::string& name, const std::string& subnet) { builder_.set_network(name, network(name, {subnet})); }
  ZoneBuilder builder_;
};

using Strings = std::vector<std::string>;

TEST_F(ZoneTest, NamesComeAndGoWithTheirEndpoints) {
  net("net1", "10.1.0.0/16");
  put(builder_, endpoint("net1", "c1", {"10.1.0.1"}, {"client"}));
  auto db = endpoint("net1", "0123456789abcdef", {"10.1.0.2"}, {"db"});
  db->aliases = {"store"};
  put(builder_, db);
  for (const char* name : {"db", "store", "0123456789ab", "0123456789abcdef", "db.net1", "DB.NET1.fairlead.internal"})
    EXPECT_EQ(a(name, "10.1.0.1"), Strings{"10.1.0.2"}) << name;
  auto moved = std::make_shared<Endpoint>(*db);
  moved->addresses = {addr("10.1.0.9")};
  moved->aliases = {};
  put(builder_, moved);
  EXPECT_EQ(a("db", "10.1.0.1"), Strings{"10.1.0.9"});
  EXPECT_EQ(a("store", "10.1.0.1"), Strings{});
  builder_.set_endpoint("net1", db->key(), nullptr);
  EXPECT_EQ(a("db", "10.1.0.1"), Strings{});
  EXPECT_EQ(builder_.publish()->zone(0)->addresses.size(), 1u);
  builder_.set_endpoint("net1", endpoint("net1", "c1", {})->key(), nullptr);
  EXPECT_EQ(builder_.publish()->zone(0)->names.size(), 0u);
}

TEST_F(ZoneTest, ASharedAliasIsTheUnionWithoutDuplicates) {
  net("net1", "10.1.0.0/16");
  for (int i = 1; i <= 3; i++) {
    auto e = endpoint("net1", "c" + std::to_string(i), {"10.1.0." + std::to_string(i)});
    e->aliases = {"pool", "pool"};
    put(builder_, e);
  }
  EXPECT_EQ(a("pool", "10.1.0.1"), (Strings{"10.1.0.1", "10.1.0.2", "10.1.0.3"}));
}

TEST_F(ZoneTest, AServiceIsItsVipAndTasksAreTheHealthyReadyOnes) {
  net("net1", "10.1.0.0/16");
  builder_.set_service("net1", "web", service("net1", "web", {"10.1.255.1"}));
  for (int i = 1; i <= 4; i++)
    put(builder_, endpoint("net1", "c" + std::to_string(i), {"10.1.0." + std::to_string(i)},
                           {"web-" + std::to_string(i)}, {"web"}));
  auto starting = endpoint("net1", "c4", {"10.1.0.4"}, {"web-4"}, {"web"});
  starting->state = "starting";
  put(builder_, starting);
  auto health = std::make_shared<ServiceHealth>();
  health->unhealthy = {endpoint("net1", "c3", {})->key()};
  builder_.set_health("net1", "web", "", health);
  EXPECT_EQ(a("web", "10.1.0.1"), Strings{"10.1.255.1"});
  EXPECT_EQ(a("tasks.web", "10.1.0.1"), (Strings{"10.1.0.1", "10.1.0.2"}));
  EXPECT_EQ(a("all.web", "10.1.0.1"), (Strings{"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"}));
  EXPECT_EQ(a("web.2", "10.1.0.1"), Strings{"10.1.0.2"});
  EXPECT_EQ(a("web.4", "10.1.0.1"), Strings{"10.1.0.4"}) << "a starting container has its own name";
  builder_.set_health("net1", "web", "", nullptr);
  EXPECT_EQ(a("tasks.web", "10.1.0.1"), (Strings{"10.1.0.1", "10.1.0.2", "10.1.0.3"}));
  builder_.set_service("net1", "web", service("net1", "web", {}));
  EXPECT_EQ(a("web", "10.1.0.1"), (Strings{"10.1.0.1", "10.1.0.2", "10.1.0.3"})) << "dnsrr";
}

TEST_F(ZoneTest, ContainersOfOtherNodesHaveNamesAndTheirNodesWordOnTheirHealth) {
  net("net1", "10.1.0.0/16");
  net("net2", "10.2.0.0/16");
  builder_.set_service("net1", "web", service("net1", "web", {}));
  put(builder_, endpoint("net1", "c1", {"10.1.0.1"}, {"one"}, {"web"}));
  auto remote = [&](const std::string& network, const std::string& address, const std::string& name) {
    auto e = endpoint(network, "c1", {address}, {name}, {"web"});  // the same id as the container here
    e->node = "n2";
    builder_.set_endpoint(network, "n2/" + e->key(), e);
  };
  remote("net1", "10.1.1.1", "two");
  remote("net2", "10.2.1.1", "secret");
  EXPECT_EQ(a("two", "10.1.0.1"), Strings{"10.1.1.1"});
  EXPECT_EQ(a("tasks.web", "10.1.0.1"), (Strings{"10.1.0.1", "10.1.1.1"}));
  EXPECT_TRUE(a("secret.net2.fairlead.internal", "10.1.0.1").empty()) << "that id is on net2 on another node only";
  auto health = std::make_shared<ServiceHealth>();
  health->unhealthy = {std::string("c1-eth0")};
  builder_.set_health("net1", "web", "n2", health);
  EXPECT_EQ(a("tasks.web", "10.1.0.1"), Strings{"10.1.0.1"}) << "n2's word is about n2's container";
  builder_.set_health("net1", "web", "n2", nullptr);
  builder_.set_endpoint("net1", "n2/" + std::string("c1-eth0"), nullptr);
  EXPECT_EQ(a("tasks.web", "10.1.0.1"), Strings{"10.1.0.1"});
  EXPECT_TRUE(a("two", "10.1.0.1").empty());
}

TEST_F(ZoneTest, AServiceBeatsAContainerOfItsNameAndNobodyGetsTheMixture) {
  net("net1", "10.1.0.0/16");
  put(builder_, endpoint("net1", "c1", {"10.1.0.1"}, {"web"}));
  EXPECT_EQ(a("web", "10.1.0.1"), Strings{"10.1.0.1"});
  builder_.set_service("net1", "web", service("net1", "web", {"10.1.255.1"}));
  EXPECT_EQ(a("web", "10.1.0.1"), Strings{"10.1.255.1"});
  EXPECT_EQ(decide(*builder_.publish(), 0, "10.1.0.1", ask("1.0.1.10.in-addr.arpa", kTypePtr)).answers,
            Strings{"c1.net1.fairlead.internal"})
      << "the reverse name must lead back";
  builder_.set_service("net1", "web", nullptr);
  EXPECT_EQ(a("web", "10.1.0.1"), Strings{"10.1.0.1"});
  EXPECT_EQ(decide(*builder_.publish(), 0, "10.1.0.1", ask("1.0.1.10.in-addr.arpa", kTypePtr)).answers,
            Strings{"web.net1.fairlead.internal"});
}

TEST_F(ZoneTest, AContainerSeesItsNetworksAndNoOther) {
  net("net1", "10.1.0.0/16");
  net("net2", "10.2.0.0/16");
  net("net3", "10.3.0.0/16");
  put(builder_, endpoint("net1", "both", {"10.1.0.1"}));
  auto second = endpoint("net2", "both", {"10.2.0.1"});
  second->ifname = "eth1";
  put(builder_, second);
  put(builder_, endpoint("net1", "one", {"10.1.0.2"}, {"shared"}));
  put(builder_, endpoint("net2", "two", {"10.2.0.2"}, {"shared", "only2"}));
  put(builder_, endpoint("net3", "three", {"10.3.0.2"}, {"only3"}));
  EXPECT_EQ(a("shared", "10.1.0.1"), Strings{"10.1.0.2"});
  EXPECT_EQ(a("shared", "10.2.0.1", "net2"), Strings{"10.2.0.2"});
  EXPECT_EQ(a("only2", "10.1.0.1"), Strings{"10.2.0.2"});
  EXPECT_EQ(a("shared.net2", "10.1.0.1"), Strings{"10.2.0.2"});
  EXPECT_EQ(a("only2", "10.1.0.2"), Strings{});
  EXPECT_EQ(a("shared.net2.fairlead.internal", "10.1.0.2"), Strings{});
  EXPECT_EQ(a("only3", "10.1.0.1"), Strings{});
  builder_.set_endpoint("net2", second->key(), nullptr);
  EXPECT_EQ(a("only2", "10.1.0.1"), Strings{});
  EXPECT_EQ(a("shared", "10.1.0.1"), Strings{"10.1.0.2"});
}

TEST_F(ZoneTest, TwoDocumentsWithOneAddressGiveNobodyTheOthersNetworks) {
  net("net1", "10.1.0.0/16");
  net("net2", "10.2.0.0/16");
  put(builder_, endpoint("net1", "both", {"10.1.0.1"}));
  put(builder_, endpoint("net2", "both", {"10.2.0.1"}));
  put(builder_, endpoint("net2", "two", {"10.2.0.2"}, {"only2"}));
  ASSERT_EQ(a("only2", "10.1.0.1"), Strings{"10.2.0.2"});
  put(builder_, endpoint("net1", "thief", {"10.1.0.1"}));
  EXPECT_EQ(a("only2", "10.1.0.1"), Strings{});
}

TEST_F(ZoneTest, AddressesNoContainerCanHaveAreNotAnswered) {
  net("net1", "10.1.0.0/16");
  put(builder_, endpoint("net1", "c1", {"10.1.0.1", "::1"}, {"c"}));
  put(builder_, endpoint("net1", "c2", {"127.0.0.1", "fe80::1"}, {"bad"}));
  EXPECT_EQ(a("bad", "10.1.0.1"), Strings{});
  EXPECT_EQ(a("c", "10.1.0.1"), Strings{"10.1.0.1"});
}

TEST_F(ZoneTest, OneChangeAmongTenThousandEndpointsIsCheap) {
  net("net1", "10.0.0.0/8");
  auto name = [](int i) {
    return "10." + std::to_string(i >> 16 & 255) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255);
  };
  for (int i = 2; i < 10002; i++)
    put(builder_, endpoint("net1", "container" + std::to_string(i), {name(i)}, {"task-" + std::to_string(i)}, {"big"}));
  ASSERT_EQ(a("task-9000", name(5)), Strings{name(9000)});
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; i++) {
    put(builder_, endpoint("net1", "new" + std::to_string(i), {name(20000 + i)}, {"new-" + std::to_string(i)}));
    builder_.publish();
  }
  auto each = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count() / 20;
  EXPECT_EQ(a("new-19", name(5)), Strings{name(20019)});
  EXPECT_LT(each, 20) << "ms; a rebuild of everything would take hundreds";
}

}  // namespace
}  // namespace fairlead::dns
