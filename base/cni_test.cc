#include "base/cni.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <map>

#include <nlohmann/json.hpp>

#include "base/cni_config.h"

namespace fairlead::cni {
namespace {

using Environment = std::map<std::string, std::string>;

Environment usual(const char* command) {
  return {{"CNI_COMMAND", command},
          {"CNI_CONTAINERID", "c1"},
          {"CNI_NETNS", "/n"},
          {"CNI_IFNAME", "eth0"},
          {"CNI_PATH", "/p"}};
}

void set_environment(const Environment& environment) {
  for (const char* name : {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH", "CNI_ARGS"})
    unsetenv(name);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
}

Fd file_with(const std::string& text) {
  char name[] = "/tmp/cni-test-XXXXXX";
  Fd fd(mkstemp(name));
  unlink(name);
  EXPECT_TRUE(write_all(fd.get(), text, name));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

CniResult<Request> read(const Environment& environment, const std::string& text) {
  set_environment(environment);
  Fd fd = file_with(text);
  return read_request(environment.at("CNI_COMMAND"), fd.get());
}

CniError error_of(const Environment& environment, const std::string& text) {
  auto r = read(environment, text);
  EXPECT_FALSE(r) << text.substr(0, 200);
  return r ? CniError(0, "") : r.error();
}

const std::string kConf = R"({"cniVersion":"1.0.0","name":"n","type":"t"})";

std::string conf(const std::string& more) { return R"({"cniVersion":"1.0.0","name":"n","type":"t",)" + more + "}"; }
Request with(const std::string& more) {
  auto r = read(usual("ADD"), conf(more));
  EXPECT_TRUE(r) << (r ? "" : r.error().msg);
  return std::move(*r);
}

struct Outcome {
  int status;
  std::string out;
  Json json;
};
// run() in a process of its own, with these descriptors.
Outcome run_plugin(const Environment& environment, const std::string& text, const Handlers& handlers,
                   const char* out_path = nullptr) {
  Fd in = file_with(text), out = file_with("");
  fflush(nullptr);
  pid_t pid = fork();
  if (pid == 0) {
    set_environment(environment);
    dup2(in.get(), 0);
    if (out_path) {
      close(1);
      if (*out_path && open(out_path, O_WRONLY) != 1) _exit(99);
    } else {
      dup2(out.get(), 1);
    }
    _exit(run(handlers));
  }
  Outcome outcome{};
  waitpid(pid, &outcome.status, 0);
  lseek(out.get(), 0, SEEK_SET);
  outcome.out = *read_all(out.get(), 1 << 20, "output");
  outcome.json = Json::parse(outcome.out, nullptr, false);
  outcome.status = WIFEXITED(outcome.status) ? WEXITSTATUS(outcome.status) : -1;
  return outcome;
}

Handlers handlers_that_add(int undone_status = 0) {
  Handlers h;
  h.add = [](const Request&) -> CniResult<AddResult> {
    AddResult r;
    r.ips.push_back({*Prefix::parse("10.0.0.2/24"), std::nullopt, std::nullopt});
    return r;
  };
  h.del = h.check = h.gc = h.status = [](const Request&) -> CniResult<void> { return {}; };
  h.undo = [undone_status](const Request&) {
    if (undone_status) _exit(undone_status);
  };
  return h;
}

TEST(ReadRequest, CNI_003_NamesEveryMissingVariable) {
  auto error = error_of({{"CNI_COMMAND", "ADD"}, {"CNI_IFNAME", ""}}, kConf);
  EXPECT_EQ(error.code, kInvalidEnvironment);
  for (const char* name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"})
    EXPECT_NE(error.msg.find(name), std::string::npos);
  auto del = usual("DEL");
  del["CNI_NETNS"] = "";
  EXPECT_TRUE(read(del, kConf)) << "DEL must work when the namespace is gone";
}

TEST(ReadRequest, CNI_007_CNI_009_RefusesNamesThatCouldLeaveTheirFolder) {
  for (const char* id : {"../x", "-a", ".a", "a/b", "a b", "a\n", "\xc3\xa4"}) {
    auto environment = usual("DEL");
    environment["CNI_CONTAINERID"] = id;
    EXPECT_EQ(error_of(environment, kConf).code, kInvalidEnvironment) << id;
  }
  for (const char* name : {".", "..", "a/b", "a:b", "a b", "sixteenletters16", "eth%d"}) {
    auto environment = usual("ADD");
    environment["CNI_IFNAME"] = name;
    EXPECT_EQ(error_of(environment, kConf).code, kInvalidEnvironment) << name;
  }
}

TEST(ReadRequest, CNI_013_CNI_015_RefusesHostileStdin) {
  EXPECT_EQ(error_of(usual("ADD"), "").code, kDecodingFailure);
  EXPECT_EQ(error_of(usual("ADD"), "[]").code, kDecodingFailure);
  EXPECT_EQ(error_of(usual("ADD"), "null").code, kDecodingFailure);
  EXPECT_EQ(error_of(usual("ADD"), std::string(100000, '[')).code, kDecodingFailure);
  EXPECT_EQ(error_of(usual("ADD"), R"({"name":")" + std::string(8 << 20, 'x') + "\"}").code, kDecodingFailure);
  EXPECT_EQ(error_of(usual("ADD"), R"({"name":"\ud800"})").code, kDecodingFailure);
  EXPECT_EQ(error_of(usual("ADD"), kConf + std::string(1, '\0')).code, kDecodingFailure);
}

TEST(ReadRequest, CNI_016_TO_019_ChecksVersionAndName) {
  EXPECT_EQ(read(usual("ADD"), R"({"name":"n"})")->version, "0.1.0");
  EXPECT_EQ(error_of(usual("ADD"), R"({"cniVersion":1,"name":"n"})").code, kDecodingFailure);
  auto error = error_of(usual("ADD"), R"({"cniVersion":"1.0","name":"n"})");
  EXPECT_EQ(error.code, kIncompatibleVersion);
  EXPECT_NE(error.details.find("0.4.0, 1.0.0, 1.1.0"), std::string::npos);
  for (const char* bad :
       {R"({"cniVersion":"1.0.0"})", R"({"name":""})", R"({"name":"-x"})", R"({"name":"a/b"})", R"({"name":7})"})
    EXPECT_EQ(error_of(usual("ADD"), bad).code, kInvalidConfig) << bad;
  EXPECT_EQ(error_of(usual("CHECK"), R"({"cniVersion":"0.3.1","name":"n"})").code, kIncompatibleVersion);
  EXPECT_EQ(error_of(usual("GC"), kConf).code, kIncompatibleVersion);
}

TEST(ReadRequest, CNI_026_ArgsAreReadOrRefusedCleanly) {
  auto environment = usual("ADD");
  environment["CNI_ARGS"] = "IgnoreUnknown=1;K8S_POD_NAME=web;X=a=b;;";
  auto r = read(environment, kConf);
  ASSERT_TRUE(r);
  EXPECT_EQ(*r->arg("K8S_POD_NAME"), "web");
  EXPECT_EQ(*r->arg("X"), "a=b");
  EXPECT_EQ(r->arg("Y"), nullptr);
  environment["CNI_ARGS"] = "nonsense";
  EXPECT_EQ(error_of(environment, kConf).code, kInvalidEnvironment);
  environment["CNI_COMMAND"] = "DEL";
  EXPECT_TRUE(read(environment, kConf)) << "DEL cleans up all the same";
}

TEST(ReadRequest, CNI_053_CNI_087_ABadPrevResultIsAnErrorExceptOnDel) {
  std::string bad = conf(R"("prevResult":{"ips":[{"address":"x"}]})");
  EXPECT_EQ(error_of(usual("ADD"), bad).code, kDecodingFailure);
  auto del = read(usual("DEL"), bad);
  ASSERT_TRUE(del);
  EXPECT_FALSE(del->prev_result);
  EXPECT_TRUE(with(R"("prevResult":{})").prev_result);
}

TEST(Run, CNI_021_CNI_022_ErrorsAreOneObjectWithTheVersionInUse) {
  auto h = handlers_that_add();
  h.add = [](const Request&) -> CniResult<AddResult> { return cni_fail(kInvalidConfig, "bad \xff bytes", "why"); };
  auto o = run_plugin(usual("ADD"), R"({"cniVersion":"0.4.0","name":"n"})", h);
  EXPECT_EQ(o.status, 1);
  EXPECT_EQ(o.json["cniVersion"], "0.4.0");
  EXPECT_EQ(o.json["code"], 7);
  EXPECT_EQ(o.json["details"], "why");
  EXPECT_EQ(run_plugin({}, kConf, h).json["code"], kInvalidEnvironment);
  EXPECT_EQ(run_plugin(usual("ADD "), kConf, h).json["code"], kInvalidEnvironment);
}

TEST(Run, CNI_030_CNI_032_CNI_034_VersionEchoesAndNeedsNothing) {
  auto o = run_plugin({{"CNI_COMMAND", "VERSION"}}, R"({"cniVersion":"0.4.0"})", {});
  EXPECT_EQ(o.status, 0);
  EXPECT_EQ(o.json["cniVersion"], "0.4.0");
  EXPECT_EQ(o.json["supportedVersions"].size(), 7u);
  EXPECT_EQ(run_plugin({{"CNI_COMMAND", "VERSION"}}, "", {}).json["cniVersion"], "1.1.0");
}

TEST(Run, CNI_057_AnUndeliverableResultIsTakenBack) {
  EXPECT_EQ(run_plugin(usual("ADD"), kConf, handlers_that_add(42)).status, 0);
  EXPECT_EQ(run_plugin(usual("ADD"), kConf, handlers_that_add(42), "/dev/full").status, 42);
  EXPECT_EQ(run_plugin(usual("ADD"), kConf, handlers_that_add(42), "").status, 42) << "stdout closed";
}

TEST(Run, CNI_102_CheckNeedsPrevResultOfMainPlugins) {
  auto h = handlers_that_add();
  EXPECT_EQ(run_plugin(usual("CHECK"), kConf, h).json["code"], kInvalidConfig);
  auto o = run_plugin(usual("CHECK"), conf(R"("prevResult":{})"), h);
  EXPECT_EQ(o.status, 0);
  EXPECT_EQ(o.out, "");
  h.check_needs_prev_result = false;
  EXPECT_EQ(run_plugin(usual("CHECK"), kConf, h).status, 0);
}

TEST(Config, CNI_068_PortMappingsInBothSpellings) {
  auto maps = port_mappings(with(R"("runtimeConfig":{"portMappings":[
      {"hostPort":80,"containerPort":8080,"protocol":"TCP"},{"HostPort":80,"ContainerPort":53,"Protocol":"udp","HostIP":"127.0.0.1"},
      {"hostPort":0,"containerPort":9},{"HostPort":81,"ContainerPort":1,"Protocol":"","HostIP":""}]})"));
  ASSERT_TRUE(maps) << maps.error().msg;
  ASSERT_EQ(maps->size(), 3u);
  EXPECT_EQ((*maps)[0].protocol, "tcp");
  EXPECT_EQ((*maps)[1].container_port, 53u);
  EXPECT_EQ((*maps)[1].host_ip->to_string(), "127.0.0.1");
  for (const char* bad :
       {R"([{"hostPort":65536,"containerPort":1}])", R"([{"hostPort":1,"containerPort":1,"protocol":"icmp"}])",
        R"([{"hostPort":1,"containerPort":1},{"hostPort":1,"containerPort":2,"hostIP":"10.0.0.1"}])",
        R"([{"hostPort":-1,"containerPort":1}])", R"([{"hostPort":1}])", R"({})",
        R"([{"hostPort":1,"containerPort":1,"hostIP":"x"}])"}) {
    auto refused = port_mappings(with(R"("runtimeConfig":{"portMappings":)" + std::string(bad) + "}"));
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, kInvalidConfig);
  }
  EXPECT_TRUE(
      port_mappings(with(R"("runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":1,"hostIP":"10.0.0.1"},
      {"hostPort":1,"containerPort":1,"hostIP":"10.0.0.2"}]})")));
}

TEST(Config, CNI_071_AliasesAsAListAndByNetwork) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(*aliases(with(R"("runtimeConfig":{"aliases":["a","b","a"]})"), "net"), (Names{"a", "b"}));
  EXPECT_EQ(*aliases(with(R"("runtimeConfig":{"aliases":{"net":["a"],"other":["b"]}})"), "net"), Names{"a"});
  EXPECT_EQ(*aliases(with(R"("runtimeConfig":{"aliases":{"n":["c"]}})"), "net"), Names{"c"});
  EXPECT_EQ(*aliases(with(R"("x":1)"), "net"), Names{});
  EXPECT_EQ(aliases(with(R"("runtimeConfig":{"aliases":["a b"]})"), "net").error().code, kInvalidConfig);
}

TEST(Config, CNI_061_TO_066_RequestedMacAndAddresses) {
  EXPECT_EQ((*requested_mac(with(R"("runtimeConfig":{"mac":"02:00:00:00:00:09"})")))->to_string(), "02:00:00:00:00:09");
  for (const char* bad : {"01:00:00:00:00:09", "00:00:00:00:00:00", "2:0:0:0:0:9", "x"})
    EXPECT_EQ(requested_mac(with(R"("runtimeConfig":{"mac":")" + std::string(bad) + "\"}")).error().code,
              kInvalidConfig)
        << bad;
  auto environment = usual("ADD");
  environment["CNI_ARGS"] = "IP=10.0.0.81/24;MAC=02:00:00:00:00:0a";
  auto both = read(environment, conf(R"("args":{"cni":{"ips":["10.0.0.82"]}})"));
  EXPECT_EQ(*requested_ips(*both), std::vector<Address>{*Address::parse("10.0.0.82")});
  EXPECT_EQ((*requested_mac(*both))->to_string(), "02:00:00:00:00:0a");
  auto old = read(environment, kConf);
  EXPECT_EQ(*requested_ips(*old), std::vector<Address>{*Address::parse("10.0.0.81")});
  EXPECT_EQ(requested_ips(with(R"("runtimeConfig":{"ips":["10.0.0.1/24","10.0.0.1","fd00::1"]})"))->size(), 2u);
  EXPECT_FALSE(requested_ips(with(R"("runtimeConfig":{"ips":["10.0.0.300"]})")));
}

TEST(Config, CNI_070_DnsInBothSpellings) {
  auto dns =
      runtime_dns(with(R"("runtimeConfig":{"dns":{"Servers":["1.1.1.1"],"searches":["x"],"Options":["ndots:2"]}})"));
  ASSERT_TRUE(dns && *dns);
  EXPECT_EQ((*dns)->nameservers, std::vector<std::string>{"1.1.1.1"});
  EXPECT_EQ((*dns)->search, std::vector<std::string>{"x"});
  EXPECT_EQ((*dns)->options, std::vector<std::string>{"ndots:2"});
}

TEST(Config, CNI_123_CNI_124_CNI_129_AnAbsentListIsNotAnEmptyOneAndABadOneIsAnError) {
  auto gc = [](const std::string& more) {
    auto environment = usual("GC");
    auto r = read(environment, R"({"cniVersion":"1.1.0","name":"n",)" + more + "}");
    EXPECT_TRUE(r);
    return valid_attachments(*r);
  };
  EXPECT_FALSE(*gc(R"("x":1)"));
  EXPECT_TRUE((*gc(R"("cni.dev/valid-attachments":[])"))->empty());
  auto one = gc(R"("cni.dev/attachments":[{"containerID":"a","ifname":"eth0"}])");
  ASSERT_TRUE(one && *one);
  EXPECT_EQ((**one)[0], (Attachment{"a", "eth0"}));
  for (const char* bad : {R"({})", R"([{"containerID":"a"}])", R"([{"containerID":7,"ifname":"eth0"}])", R"(["a"])",
                          R"([{"containerID":"../a","ifname":"eth0"}])"})
    EXPECT_EQ(gc(R"("cni.dev/valid-attachments":)" + std::string(bad)).error().code, kInvalidConfig) << bad;
}

}  // namespace
}  // namespace fairlead::cni
