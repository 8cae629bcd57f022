// What tests of claims and of the roll call say of a store (cluster/etcd_world.h).
#pragma once

#include "cluster/etcd_world.h"
#include "cluster/feed.h"
#include "cluster/member_documents.h"
#include "cluster/pki.h"

namespace fairlead::cluster {

class StoreTest : public EtcdTest {
 protected:
  void network(const std::string& subnet) {
    put("networks/net", R"({"apiVersion":1,"name":"net","vni":4097,"subnets":[")" + subnet + R"("]})");
  }
  Identity member(const std::string& name, uint32_t number) {
    HostPort where{*Address::parse("192.0.2.1")};
    put("members/" + name, encode(MemberRecord{name, "node", number, where, "", 0}));
    return {"c1", "node", name, number};
  }
  // What a front has heard.
  void listen() {
    const std::string prefix = kStorePrefix;
    auto all = etcd_->range({prefix, prefix_end(prefix)});
    ASSERT_TRUE(all);
    Feed::Documents documents;
    for (auto& d : all->documents) documents[d.key.substr(prefix.size())] = d.value;
    feed_.replace(documents, all->revision);
  }

  Feed feed_;
};

}  // namespace fairlead::cluster
