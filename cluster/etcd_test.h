// An etcd of the test's own, and what tests say of it; skipped where there is none.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cluster/etcd_client.h"
#include "cluster/feed.h"
#include "cluster/member_documents.h"
#include "cluster/pki.h"
#include "cluster/registry.h"

extern char** environ;

namespace fairlead::cluster {

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/usr/bin/etcd", X_OK) != 0) GTEST_SKIP() << "no etcd";
    std::string folder = testing::TempDir() + "claimsXXXXXX";
    top_ = ::mkdtemp(folder.data());
    const std::string url = "unix://e.sock:0", peer = "unix://p.sock:0";
    std::vector<std::string> arguments{"/usr/bin/etcd",
                                       "--name=t",
                                       "--data-dir=" + top_ + "/d",
                                       "--listen-client-urls=" + url,
                                       "--advertise-client-urls=" + url,
                                       "--listen-peer-urls=" + peer,
                                       "--initial-advertise-peer-urls=" + peer,
                                       "--initial-cluster=t=" + peer,
                                       "--logger=zap",
                                       "--log-outputs=stderr",
                                       "--log-level=fatal"};
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, top_.c_str());
    ASSERT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    etcd_ = std::make_unique<EtcdClient>(top_ + "/e.sock:0");
    Result<EtcdClient::Applied> ready = fail("not asked");
    for (int i = 0; i < 200 && !ready; i++) {
      ::usleep(50000);
      ready = etcd_->apply({}, {{store_key("cluster/settings"), "{}"}});
    }
    ASSERT_TRUE(ready) << ready.error().message;
  }
  void TearDown() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (!top_.empty()) std::filesystem::remove_all(top_);
  }

  void put(const std::string& key, const std::optional<std::string>& value) {
    ASSERT_TRUE(etcd_->apply({}, {{store_key(key), value}}));
  }
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

  std::string top_;
  pid_t pid_ = 0;
  std::unique_ptr<EtcdClient> etcd_;
  Feed feed_;
};

}  // namespace fairlead::cluster
