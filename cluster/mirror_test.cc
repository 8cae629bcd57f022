#include "cluster/mirror.h"

#include <gtest/gtest.h>

#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/document_check.h"
#include "cluster/publication.h"

namespace fairlead::cluster {
namespace {

namespace fs = std::filesystem;

std::string network(const std::string& name, int vni = 4097) {
  return R"({"apiVersion":1,"name":")" + name + R"(","vni":)" + std::to_string(vni) + R"(,"subnets":["10.32.0.0/16"]})";
}
std::string endpoint(const std::string& node) {
  return R"({"apiVersion":1,"network":"net","container":"c1","ifname":"eth0","netns":"/x","node":")" + node +
         R"(","addresses":["10.32.0.5"],"mac":"02:00:00:00:00:01"})";
}
constexpr const char* kEndpoint = "endpoints/net/n2/c1-eth0";

class MirrorTest : public testing::Test {
 protected:
  MirrorTest() {
    std::string folder = testing::TempDir() + "mirrorXXXXXX";
    top_ = ::mkdtemp(folder.data());
    paths_.state = top_ + "/state";
    paths_.run = top_ + "/run";
    base_ = {{"cluster/settings", "{}"}, {"live/n2", "{}"}};
  }
  ~MirrorTest() override { fs::remove_all(top_); }
  Feed::Documents with(const Feed::Documents& more) const {
    Feed::Documents all = base_;
    all.insert(more.begin(), more.end());
    return all;
  }
  std::string text(const std::string& path) const { return read_file(path)->value_or("absent"); }
  std::string remote() const { return paths_.run + "/remote/endpoints/net/n2/c1-eth0.json"; }

  std::string top_;
  Paths paths_;
  Feed::Documents base_;
};

TEST_F(MirrorTest, FilesComeAndGoWithTheClustersDocuments) {
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{"networks/net", network("net")}, {kEndpoint, endpoint("n2")}})));
  EXPECT_EQ(mark_of(text(paths_.network("net"))), "c1");
  EXPECT_EQ(text(remote()), endpoint("n2"));
  ASSERT_TRUE(mirror.apply({{"networks/net", std::nullopt, 2}, {kEndpoint, std::nullopt, 2}}));
  EXPECT_FALSE(fs::exists(paths_.network("net")));
  EXPECT_FALSE(fs::exists(remote()));
}

TEST_F(MirrorTest, ANodeThatIsNotLiveIsHiddenAndComesBackByItself) {
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{kEndpoint, endpoint("n2")}})));
  ASSERT_TRUE(mirror.apply({{"live/n2", std::nullopt, 2}}));
  EXPECT_FALSE(fs::exists(remote()));
  ASSERT_TRUE(mirror.apply({{"live/n2", "{}", 3}}));
  EXPECT_TRUE(fs::exists(remote()));
}

TEST_F(MirrorTest, WhatDidNotComeFromTheClusterStays) {
  fs::create_directories(paths_.networks());
  ASSERT_TRUE(replace_file(paths_.network("own"), network("own"), Durability::kBoot));
  ASSERT_TRUE(replace_file(paths_.network("other"), *with_mark(network("other"), "c2"), Durability::kBoot));
  ASSERT_TRUE(replace_file(paths_.network("gone"), *with_mark(network("gone"), "c1"), Durability::kBoot));
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(base_));
  EXPECT_TRUE(fs::exists(paths_.network("own")));
  EXPECT_TRUE(fs::exists(paths_.network("other")));
  EXPECT_FALSE(fs::exists(paths_.network("gone"))) << "removed while this node was away";
}

TEST_F(MirrorTest, TheNodesOwnDocumentThatDiffersStaysAndIsAProblem) {
  fs::create_directories(paths_.networks());
  ASSERT_TRUE(replace_file(paths_.network("net"), network("net", 77), Durability::kBoot));
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{"networks/net", network("net")}})));
  EXPECT_EQ(text(paths_.network("net")), network("net", 77));
  EXPECT_EQ(mirror.problems().count("networks/net"), 1u);
  fs::remove(paths_.network("net"));
  ASSERT_TRUE(mirror.replace(with({{"networks/net", network("net")}})));
  EXPECT_TRUE(mirror.problems().empty());
}

TEST_F(MirrorTest, OneThatIsTheSameBecomesTheClusters) {
  fs::create_directories(paths_.networks());
  ASSERT_TRUE(replace_file(paths_.network("net"), network("net"), Durability::kBoot));
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{"networks/net", network("net")}})));
  EXPECT_EQ(mark_of(text(paths_.network("net"))), "c1");
}

TEST_F(MirrorTest, ABadDocumentIsAProblemAndTheGoodOneBeforeItStays) {
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{"networks/net", network("net")}})));
  for (const std::string& bad : {std::string("{"), std::string("[]"), network("another"), network("net", 0)}) {
    ASSERT_TRUE(mirror.apply({{"networks/net", bad, 2}}));
    EXPECT_EQ(mirror.problems().count("networks/net"), 1u) << bad;
    EXPECT_EQ(mark_of(text(paths_.network("net"))), "c1");
  }
  ASSERT_TRUE(mirror.apply({{"networks/fine", network("fine", 5), 3}, {"networks/net", network("net"), 3}}));
  EXPECT_TRUE(fs::exists(paths_.network("fine"))) << "its neighbours are not concerned";
  EXPECT_TRUE(mirror.problems().empty());
}

TEST_F(MirrorTest, AStoreThatDoesNotSayWhoseItIsChangesNothing) {
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{"networks/net", network("net")}})));
  EXPECT_FALSE(mirror.replace({}));
  EXPECT_TRUE(fs::exists(paths_.network("net")));
}

TEST_F(MirrorTest, KeysThatAreNoFilesBecomeNone) {
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{"networks/../../evil", network("evil")},
                                   {"networks/.hidden", network("hidden")},
                                   {"endpoints/net/../x", endpoint("n2")},
                                   {"endpoints/net/n1/c1-eth0", endpoint("n1")},
                                   {"unknown/thing", "{}"}})));
  EXPECT_FALSE(fs::exists(top_ + "/evil.json"));
  EXPECT_FALSE(fs::exists(paths_.run + "/remote")) << "a node's own endpoints are not remote";
}

TEST(Publication, DifferencesAreInRequestsOfAHundred) {
  Feed::Documents wanted, stored{{"gone", "x"}, {"same", "x"}, {"old", "x"}};
  wanted = {{"same", "x"}, {"old", "y"}};
  for (int i = 0; i < 250; i++) wanted["k" + std::to_string(i)] = "v";
  auto requests = differences(wanted, stored);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0]["remove"].dump(), R"(["gone"])");
  size_t changes = 0;
  for (const auto& request : requests)
    changes += request.value("put", Json::object()).size() + request.value("remove", Json::array()).size();
  EXPECT_EQ(changes, 252u);
  EXPECT_TRUE(differences(wanted, wanted).empty());
}

TEST(DocumentCheck, NamesInsideAndOutsideAgree) {
  EXPECT_TRUE(check_document("networks/net", network("net")));
  EXPECT_FALSE(check_document("networks/other", network("net")));
  EXPECT_TRUE(check_document(kEndpoint, endpoint("n2")));
  EXPECT_FALSE(check_document(kEndpoint, endpoint("n3")));
  EXPECT_FALSE(check_document("endpoints/net/n2/c2-eth0", endpoint("n2")));
  for (const char* bad : {"", "/", "a//b", "a/", "/a", ".a", "a/.b", "a b"}) EXPECT_FALSE(split_key(bad)) << bad;
}

TEST_F(MirrorTest, OfNetworksItNoLongerTakesPartInNothingIsLeft) {
  Mirror mirror(paths_, "c1", "n1");
  ASSERT_TRUE(mirror.replace(with({{"networks/net", network("net")}, {kEndpoint, endpoint("n2")}})));
  ASSERT_NE(text(remote()), "absent");
  ASSERT_TRUE(mirror.narrow(std::set<std::string>{}, {}));
  EXPECT_EQ(text(remote()), "absent");
  EXPECT_NE(text(paths_.network("net")), "absent");
  EXPECT_FALSE(mirror.documents().count(kEndpoint));
  ASSERT_TRUE(mirror.narrow(std::set<std::string>{"net"}, {{kEndpoint, endpoint("n2")}}));
  EXPECT_EQ(text(remote()), endpoint("n2"));
}

TEST_F(MirrorTest, ComparingNamesWhatDiffersAndChangesNothing) {
  const auto documents = with({{"networks/net", network("net")},
                               {"networks/bad", "{"},
                               {kEndpoint, endpoint("n2")},
                               {"endpoints/net/n3/c1-eth0", endpoint("n3")}});
  ASSERT_TRUE(Mirror(paths_, "c1", "n1").replace(documents));
  auto compare = [&](const Feed::Documents& store) { return *compare_mirror(paths_, "c1", "n1", store); };
  auto found = compare(documents);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found["networks/bad"].find("in the store"), std::string::npos);
  ASSERT_TRUE(replace_file(paths_.network("mine"), network("mine"), Durability::kBoot));  // own: nobody's business
  ASSERT_TRUE(replace_file(remote(), "{}", Durability::kBoot));
  auto other = documents;
  other.erase("networks/bad");
  other["networks/net"] = network("net", 4098);
  other["networks/more"] = network("more");
  other["live/n3"] = "{}";
  found = compare(other);
  EXPECT_EQ(found["networks/net"], "differs from the store");
  EXPECT_EQ(found["networks/more"], "is missing here");
  EXPECT_EQ(found[kEndpoint], "differs from the store");
  EXPECT_EQ(found["endpoints/net/n3/c1-eth0"], "is missing here");
  EXPECT_EQ(found.size(), 4u);
  EXPECT_EQ(compare(base_)["networks/net"], "is here, but not in the store");
  EXPECT_EQ(text(remote()), "{}");
}

}  // namespace
}  // namespace fairlead::cluster
