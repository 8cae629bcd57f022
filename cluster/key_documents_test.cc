#include "cluster/key_documents.h"

#include <gtest/gtest.h>

#include "cluster/document_check.h"
#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

AssociationDocument example() {
  AssociationDocument d{
      "n1", "n2", std::string(16, 'a'), std::string(16, '0'), SendOffer{std::string(16, '\1'), "2-00000001"}, 4096, {}};
  d.receive.push_back({256, "1-00000000", std::string(16, '\2'), std::string(16, '\3')});
  d.receive.push_back({UINT32_MAX, "2-00000001", std::string(16, '\4'), std::string(16, '\5')});
  return d;
}

TEST(KeyDocuments, ComeBackAsTheyWere) {
  const AssociationDocument association = example();
  auto read = decode_association(encode(association), "x");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, association);
  AssociationDocument none{"n1", "n2", std::string(16, 'a'), std::string(16, '0'), {}, 0, {}};
  EXPECT_EQ(*decode_association(encode(none), "x"), none);
  const EpochList list{60, {{"2-00000001", 100}, {"1-00000000", 40}}};
  EXPECT_EQ(*decode_epoch_list(encode(list), "x"), list);
  auto copy = decode_sealed_copy(encode(SealedCopy{"2-00000001", "sealed", std::string(16, 'b'), 7}), "x");
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->sealed, "sealed");
  EXPECT_EQ(copy->number, 7u);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  auto at = text.find(what);
  return at == text.npos ? "" : text.replace(at, what.size(), with);
}

TEST(KeyDocuments, BadOnesAreRefused) {
  const std::string good = encode(example());
  for (auto [what, with] : {std::pair{"\"n1\"", "\"../n1\""},
                            {"\"n2\"", "7"},
                            {"\"spi\":256", "\"spi\":255"},
                            {"\"spi\":256", "\"spi\":-1"},
                            {"\"spi\":256", "\"spi\":4294967296"},
                            {"2-00000001", "2-0000000G"},
                            {"2-00000001", "../../etc/passwd"},
                            {"\"sending\":4096", "\"sending\":\"4096\""},
                            {"\"apiVersion\":1", "\"apiVersion\":2"},
                            {"aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaag"},
                            {"AQEBAQEBAQEBAQEBAQEBAQ==", "AQEBAQEBAQEBAQEBAQEB"},
                            {"AQEBAQEBAQEBAQEBAQEBAQ==", "?"}}) {
    const std::string bad = replaced(good, what, with);
    ASSERT_NE(bad, "") << what;
    EXPECT_FALSE(decode_association(bad, "x")) << bad;
  }
  auto many = example();
  for (int i = 0; i < 9; i++) many.receive.push_back(many.receive[0]);
  EXPECT_FALSE(decode_association(encode(many), "x"));
  EXPECT_FALSE(decode_epoch_list(R"({"interval":1,"epochs":[]})", "x"));
  EXPECT_FALSE(decode_epoch_list(R"({"interval":60,"epochs":[{"id":"1-00000000"}]})", "x"));
  EXPECT_FALSE(
      decode_epoch_list(encode(EpochList{60, {{"3-00000000", 1}, {"2-00000000", 1}, {"1-00000000", 1}}}), "x"));
}

TEST(KeyDocuments, AreComparedWithTheirKeys) {
  const std::string association = encode(example());
  EXPECT_TRUE(check_document("associations/n1/n2", association));
  for (const char* key : {"associations/n2/n1", "associations/n1/n3", "associations/n2/n2"})
    EXPECT_FALSE(check_document(key, association)) << key;
  const std::string copy = encode(SealedCopy{"2-00000001", "sealed", std::string(16, 'b'), 7});
  EXPECT_TRUE(check_document("keys/n1/2-00000001", copy));
  EXPECT_FALSE(check_document("keys/n1/1-00000000", copy));
  EXPECT_TRUE(check_document("keys/epochs", encode(EpochList{60, {}})));
  EXPECT_FALSE(check_document("keys/epochs", copy));
}

}  // namespace
}  // namespace fairlead::cluster
