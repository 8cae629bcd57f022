#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "state/block_record.h"
#include "state/node_name.h"

namespace fairlead {
namespace {

Result<NodeBlocks> blocks(const std::string& text) { return decode_node_blocks(Json::parse(text), "b.json"); }

TEST(NodeBlocks, KeepTheirOrderAndUnknownFields) {
  auto b =
      blocks(R"({"network":"appnet","node":"n1","blocks":["10.32.0.64/26","10.32.0.0/26","fd32::1:0/112"],"since":7})");
  ASSERT_TRUE(b) << b.error().message;
  ASSERT_EQ(b->blocks.size(), 3u);
  EXPECT_EQ(b->blocks[0].to_string(), "10.32.0.64/26");
  auto again = blocks(encode(*b));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->blocks, b->blocks);
  EXPECT_NE(encode(*again).find("\"since\":7"), std::string::npos);
}

TEST(NodeBlocks, MayBeNone) {
  auto b = blocks(R"({"network":"appnet","node":"n1"})");
  ASSERT_TRUE(b);
  EXPECT_TRUE(b->blocks.empty()) << "this node has been given nothing yet";
}

TEST(NodeBlocks, RefuseHostBitsOverlapsAndNonsenseByPlace) {
  for (const auto& [text, place] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"network":"a","node":"n1","blocks":["10.0.0.1/26"]})", "blocks/0"},
           {R"({"network":"a","node":"n1","blocks":["10.0.0.0/26","10.0.0.32/27"]})", "blocks/1"},
           {R"({"network":"a","node":"n1","blocks":["x"]})", "blocks/0"},
           {R"({"network":"a","node":"../n1","blocks":[]})", "node"},
           {R"({"network":"a","blocks":[]})", "node"}}) {
    auto b = blocks(text);
    ASSERT_FALSE(b) << text;
    EXPECT_NE(b.error().message.find(place), std::string::npos) << b.error().message;
  }
}

class NodeNameTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-node-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    paths_.state = name;
  }
  void TearDown() override { std::filesystem::remove_all(paths_.state); }
  void write(const std::string& text) { std::ofstream(paths_.node_document()) << text; }
  Paths paths_;
};

TEST_F(NodeNameTest, IsTheDocumentsAndElseTheHosts) {
  auto host = node_name(paths_);
  EXPECT_EQ(host.value_or("").find('.'), std::string::npos);
  write(R"({"apiVersion":1,"balancer":"nft"})");
  EXPECT_EQ(node_name(paths_).value_or("-"), host.value_or("-"));
  write(R"({"apiVersion":1,"name":"n7"})");
  EXPECT_EQ(*node_name(paths_), "n7");
}

TEST_F(NodeNameTest, IsNeverGuessed) {
  write(R"({"name":"Not/A Name"})");
  auto name = node_name(paths_);
  ASSERT_FALSE(name);
  EXPECT_NE(name.error().message.find("node.json"), std::string::npos) << name.error().message;
  write("{");
  EXPECT_FALSE(node_name(paths_));
}

}  // namespace
}  // namespace fairlead
