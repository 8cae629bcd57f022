#include "cluster/rotation.h"

#include <gtest/gtest.h>

#include "cluster/member_documents.h"

namespace fairlead::cluster {
namespace {

struct Exchange {
  Authority old = make_authority("c1", "nodes", 1000).value(), next = make_authority("c1", "nodes", 1000).value();
  Rotation rotation{next.certificate,
                    authority_id(next.certificate).value(),
                    old.certificate,
                    authority_id(old.certificate).value(),
                    cross_sign(old, next.certificate, 1000).value(),
                    1000};
  Feed::Documents documents;

  void member(const std::string& name, const std::string& role, bool live, const std::string& issuer) {
    documents["members/" + name] =
        encode(MemberRecord{name, role, 7, {Address::parse("192.0.2.1").value(), 7310}, "", 1});
    if (live) documents["live/" + name] = "{}";
    if (!issuer.empty()) documents["certificates/" + name] = certificate_document({{}, 0, 2000, issuer});
  }
  RotationProgress progress(int64_t now) const {
    Feed feed;
    feed.replace(documents, 5);
    return progress_of(feed, rotation, now, 100);
  }
};

TEST(Rotation, IsWhatItWasWhenItIsReadBack) {
  Exchange e;
  auto again = decode_rotation(encode(e.rotation));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(encode(*again), encode(e.rotation));
  EXPECT_TRUE(again->under_way());
  EXPECT_TRUE(again->trusts(e.rotation.previous_id) && again->trusts(e.rotation.root_id) && !again->trusts(""));
  Rotation done = e.rotation;
  done.previous = done.previous_id = done.cross = "";
  again = decode_rotation(encode(done));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->under_way());
  EXPECT_FALSE(again->trusts(e.rotation.previous_id));
  EXPECT_EQ(again->bundle(), e.next.certificate);
  done.root_id = e.rotation.previous_id;
  EXPECT_FALSE(decode_rotation(encode(done)));
}

TEST(Rotation, TheTwinHasTheNameAndKeyOfTheRoot) {
  Exchange e;
  EXPECT_NE(e.rotation.root_id, e.rotation.previous_id);
  EXPECT_EQ(authority_id(e.rotation.cross).value(), e.rotation.root_id);
  auto whole = parse_authority(e.next.key + e.next.certificate + e.rotation.cross);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->key, e.next.key);
  EXPECT_EQ(whole->certificate, e.next.certificate);
  EXPECT_EQ(whole->links, e.rotation.cross);
  EXPECT_FALSE(parse_authority(e.next.key));
}

TEST(Rotation, ManagersAndWhoIsLiveAreWaitedForOthersForAWhile) {
  Exchange e;
  const std::string next = e.rotation.root_id, old = e.rotation.previous_id;
  e.member("m1", "manager", false, next);
  e.member("n1", "node", true, next);
  EXPECT_TRUE(e.progress(1001).finished);
  e.member("away", "node", false, old);
  e.member("guest", "viewer", false, "");
  EXPECT_FALSE(e.progress(1001).finished);
  EXPECT_TRUE(e.progress(1100).finished);
  EXPECT_EQ(e.progress(1100).waiting, (std::vector<std::string>{"away", "guest"}));
  e.documents["live/away"] = "{}";
  EXPECT_FALSE(e.progress(5000).finished);
  e.documents.erase("live/away");
  e.member("m2", "manager", false, old);
  EXPECT_FALSE(e.progress(5000).finished);
}

}  // namespace
}  // namespace fairlead::cluster
