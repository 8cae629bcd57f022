#include "state/view.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "state/store.h"

namespace fairlead {
namespace {

class ViewTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-view-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    paths_.state = folder_ + "/state";
    paths_.run = folder_ + "/run";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }
  void add_endpoint(const std::string& container) {
    Endpoint e;
    e.network = "a";
    e.container = container;
    e.ifname = "eth0";
    ASSERT_TRUE(save(paths_, e));
  }
  std::string folder_;
  Paths paths_;
};

TEST_F(ViewTest, SeesWhatWasThereAndWhatComesAndGoes) {
  ASSERT_TRUE(create_network(paths_, Network{.name = "a"}));
  auto view = *StateView::open(paths_);
  EXPECT_EQ(view->networks().count("a"), 1u);
  add_endpoint("c1");  // makes the folder as well: the event of the file may come before the watch
  add_endpoint("c2");
  pollfd p{view->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 1000), 1);
  auto changes = view->refresh();
  EXPECT_EQ(changes->endpoints.size(), 2u);
  EXPECT_EQ(view->endpoints().size(), 2u);
  ASSERT_TRUE(*remove_endpoint(paths_, "a", "c1", "eth0"));
  changes = view->refresh();
  EXPECT_EQ(changes->endpoints, (std::set<ObjectKey>{{"a", "c1-eth0"}}));
  EXPECT_EQ(view->endpoints().size(), 1u);
  EXPECT_FALSE(view->refresh()->any());
}

TEST_F(ViewTest, ABadDocumentIsReportedByPathAndDoesNotTakeItsNeighboursDown) {
  write(paths_.network("good"), R"({"name":"good","vni":5})");
  write(paths_.network("bad"), R"({"name":"bad","vni":"x"})");
  write(paths_.network("half"), R"({"name":"half","vni)");
  write(paths_.network("liar"), R"({"name":"other","vni":6})");
  auto view = *StateView::open(paths_);
  EXPECT_EQ(view->networks().size(), 1u);
  EXPECT_EQ(view->problems().size(), 3u);
  EXPECT_NE(view->problems().at(paths_.network("bad")).find("/vni: expected"), std::string::npos);
  write(paths_.network("bad"), R"({"name":"bad","vni":7})");
  view->refresh();
  EXPECT_EQ(view->networks().size(), 2u);
  EXPECT_EQ(view->problems().size(), 2u);
}

TEST_F(ViewTest, AFolderMovedAwayTakesItsDocumentsWithItAndARemovedTopFolderIsMadeAgain) {
  add_endpoint("c1");
  auto view = *StateView::open(paths_);
  std::filesystem::rename(paths_.endpoints("a"), folder_ + "/elsewhere");
  EXPECT_EQ(view->refresh()->endpoints.size(), 1u);
  EXPECT_TRUE(view->endpoints().empty());
  std::filesystem::remove_all(paths_.run);
  view->refresh();
  add_endpoint("c2");
  view->refresh();
  EXPECT_EQ(view->endpoints().size(), 1u);
}

TEST_F(ViewTest, SurvivesAnOverflowOfTheEventQueue) {
  auto view = *StateView::open(paths_);
  for (int round = 0; round < 60; round++)
    for (int i = 0; i < 300; i++) {
      Endpoint e;
      e.network = "a";
      e.container = "c" + std::to_string(i);
      e.ifname = "eth0";
      ASSERT_TRUE(save(paths_, e));
    }
  for (int i = 0; i < 200; i++) ASSERT_TRUE(*remove_endpoint(paths_, "a", "c" + std::to_string(i), "eth0"));
  view->refresh();
  view->refresh();
  EXPECT_EQ(view->endpoints().size(), 100u);
}

TEST_F(ViewTest, FollowsNodesAndRefusesWhatCannotBeReached) {
  auto view = StateView::open(paths_);
  ASSERT_TRUE(view);
  write(paths_.state + "/nodes/n2.json",
        R"({"apiVersion":1,"name":"n2","number":2,"address":"192.0.2.2","role":"node"})");
  write(paths_.state + "/nodes/n3.json", R"({"name":"n3","number":3,"address":"127.0.0.1"})");
  write(paths_.state + "/nodes/n4.json", R"({"name":"n4","number":40000,"address":"192.0.2.4"})");
  auto changes = (*view)->refresh();
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->nodes, std::set<std::string>{"n2"});
  ASSERT_EQ((*view)->nodes().count("n2"), 1u);
  EXPECT_EQ((*view)->nodes().at("n2")->address.to_string(), "192.0.2.2");
  EXPECT_NE(encode(*(*view)->nodes().at("n2")).find("\"role\":\"node\""), std::string::npos)
      << "unknown fields are kept";
  EXPECT_EQ((*view)->problems().size(), 2u);
  std::filesystem::remove(paths_.state + "/nodes/n2.json");
  EXPECT_EQ((*view)->refresh()->nodes, std::set<std::string>{"n2"});
  EXPECT_TRUE((*view)->nodes().empty());
}

TEST_F(ViewTest, FollowsWhatOtherNodesHave) {
  auto view = StateView::open(paths_);
  ASSERT_TRUE(view);
  const std::string folder = paths_.run + "/remote/endpoints/appnet/n2";
  auto document = [](const std::string& node) {
    return R"({"network":"appnet","container":"c1","ifname":"eth0","node":")" + node +
           R"(","addresses":["10.32.2.5"]})";
  };
  write(folder + "/c1-eth0.json", document("n2"));
  write(paths_.run + "/remote/endpoints/appnet/n3/c1-eth0.json", document("n2"));
  write(paths_.run + "/remote/health/appnet/n2/web.json",
        R"({"network":"appnet","service":"web","unhealthy":["c1-eth0"]})");
  auto changes = (*view)->refresh();
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->remote_endpoints, (std::set<ObjectKey>{{"appnet", "n2/c1-eth0"}}));
  EXPECT_EQ(changes->remote_health, (std::set<ObjectKey>{{"appnet", "n2/web"}}));
  EXPECT_TRUE((*view)->endpoints().empty()) << "they are not this node's";
  EXPECT_EQ((*view)->problems().size(), 1u) << "n3 has a document of n2";
  // A second document in a folder that is known, and one in a network that is new.
  write(folder + "/c2-eth0.json", R"({"network":"appnet","container":"c2","ifname":"eth0","node":"n2"})");
  EXPECT_EQ((*view)->refresh()->remote_endpoints, (std::set<ObjectKey>{{"appnet", "n2/c2-eth0"}}));
  std::filesystem::remove_all(folder);
  EXPECT_EQ((*view)->refresh()->remote_endpoints.size(), 2u);
  EXPECT_TRUE((*view)->remote_endpoints().empty());
  write(folder + "/c1-eth0.json", document("n2"));
  EXPECT_EQ((*view)->refresh()->remote_endpoints, (std::set<ObjectKey>{{"appnet", "n2/c1-eth0"}}))
      << "the node is back";
  std::filesystem::remove_all(paths_.run + "/remote/endpoints/appnet");
  EXPECT_EQ((*view)->rescan()->remote_endpoints, (std::set<ObjectKey>{{"appnet", "n2/c1-eth0"}}));
}

}  // namespace
}  // namespace fairlead
