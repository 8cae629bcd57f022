#include "cluster/epoch_keeper.h"

#include <gtest/gtest.h>

#include <thread>

#include <nlohmann/json.hpp>

#include "cluster/channel.h"
#include "cluster/encoding.h"
#include "cluster/etcd_world.h"
#include "cluster/key_documents.h"
#include "cluster/node_keys.h"

namespace fairlead::cluster {
namespace {

class EpochKeeperTest : public EtcdTest {
 protected:
  void SetUp() override {
    EtcdTest::SetUp();
    if (IsSkipped()) return;
    paths_.state = top_ + "/state";
    paths_.run = top_ + "/run";
    auto keys = ensure_node_keys(paths_);
    ASSERT_TRUE(keys) << keys.error().message;
    key_ = to_base64(keys->seal);
    self_.name = "n1";
    feed_.replace({}, INT64_MAX / 2);  // nobody waits for it to hear of what was written
  }
  void join(const std::string& name, int number) {
    Json node{{"apiVersion", 1}, {"name", name}, {"number", number}, {"sealKey", key_}};
    put("members/" + name, "{}");
    put("nodes/" + name, node.dump());
  }
  // As Registry::remove_member does.
  void evict(const std::string& name) {
    auto done = etcd_->apply({}, {{store_key("members/" + name), std::nullopt},
                                  {store_key("nodes/" + name), std::nullopt},
                                  {store_key(kRemovals), name}});
    ASSERT_TRUE(done);
  }
  int64_t modified(const std::string& key) {
    auto document = etcd_->get(store_key(key));
    return document && *document ? (*document)->modified : 0;
  }

  Paths paths_;
  Membership self_;
  std::string key_;
  Feed feed_;
};

// The copy exists for a moment: whoever is being evicted may have fetched it.
TEST_F(EpochKeeperTest, AnEpochThatWasSealedToAMemberWhoWentBeforeItWasListedIsNeverListed) {
  join("n1", 1);
  EpochKeeper keeper(paths_, self_, *etcd_, feed_);
  ASSERT_TRUE(keeper.rotate("there is none"));
  const int64_t begin = now_ms();
  ASSERT_TRUE(keeper.rotate("how long does it take?"));
  const int64_t took_us = (now_ms() - begin) * 1000;
  constexpr int kRounds = 12;
  for (int i = 0; i < kRounds; i++) {
    join("n2", i + 2);
    const int64_t after_us = took_us * i / kRounds;
    std::thread evicting([&] {
      ::usleep(static_cast<useconds_t>(after_us));
      evict("n2");
    });
    auto id = keeper.rotate("the test asks for it");
    evicting.join();
    ASSERT_TRUE(id) << id.error().message;
    const bool has_copy = modified("keys/n2/" + *id) != 0;
    EXPECT_TRUE(!has_copy || modified("keys/epochs") < modified(kRemovals)) << "evicted after " << after_us << " us";
    ASSERT_TRUE(etcd_->apply({}, {{store_key("keys/n2/" + *id), std::nullopt}}));
  }
}

}  // namespace
}  // namespace fairlead::cluster
