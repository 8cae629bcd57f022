#include "base/cni_delegate.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

namespace fairlead::cni {
namespace {

namespace fs = std::filesystem;

class Delegate : public testing::Test {
 protected:
  Delegate() {
    char name[] = "/tmp/delegate-test-XXXXXX";
    folder_ = mkdtemp(name);
    request_.path = "/nowhere:" + folder_;
    request_.version = "1.0.0";
    request_.stdin_text = R"({"name":"n","unknown":[1,2]})";
  }
  ~Delegate() override { fs::remove_all(folder_); }

  void plugin(const std::string& name, const std::string& body) {
    std::ofstream(folder_ + "/" + name) << "#!/bin/sh\n" << body;
    chmod((folder_ + "/" + name).c_str(), 0755);
  }
  std::string text(const std::string& name) {
    std::ifstream in(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  CniError error(const std::string& type, DelegateLimits limits = {}) {
    auto r = delegate(request_, type, "ADD", limits);
    EXPECT_FALSE(r);
    return r ? CniError() : r.error();
  }

  std::string folder_;
  Request request_;
};

TEST_F(Delegate, CNI_140_GetsTheWholeConfigurationAndEnvironmentWithTheCommandReplaced) {
  setenv("CNI_COMMAND", "DEL", 1);
  setenv("FAIRLEAD_TEST_VARIABLE", "kept", 1);
  plugin("p", "cat > " + folder_ + "/stdin; env > " + folder_ + "/env; echo ok");
  auto out = delegate(request_, "p", "ADD");
  ASSERT_TRUE(out) << out.error().msg;
  EXPECT_EQ(*out, "ok\n");
  EXPECT_EQ(text("stdin"), request_.stdin_text);
  EXPECT_NE(text("env").find("CNI_COMMAND=ADD\n"), std::string::npos);
  EXPECT_EQ(text("env").find("CNI_COMMAND=DEL"), std::string::npos);
  EXPECT_NE(text("env").find("FAIRLEAD_TEST_VARIABLE=kept\n"), std::string::npos);
}

TEST_F(Delegate, CNI_058_HasNoDescriptorsButTheStandardOnes) {
  int leaked = open("/dev/null", O_RDONLY);  // not CLOEXEC, as a careless runtime might leave it
  plugin("p", "ls /proc/self/fd | tr '\\n' ' '");
  auto out = delegate(request_, "p", "ADD");
  close(leaked);
  ASSERT_TRUE(out);
  EXPECT_EQ(*out, "0 1 2 3 ") << "3 is the folder ls reads";
}

TEST_F(Delegate, ItsErrorObjectIsPassedOnAsItIs) {
  plugin("p", R"(echo '{"cniVersion":"1.0.0","code":106,"msg":"no","details":"d"}'; exit 1)");
  EXPECT_EQ(error("p").code, 106);
  EXPECT_EQ(error("p").msg, "no");
  EXPECT_EQ(error("p").details, "d");
}

TEST_F(Delegate, CNI_143_GarbageNothingAndOnlyStderrBecomeCleanErrors) {
  plugin("garbage", "echo '<html>'; exit 1");
  plugin("nothing", "exit 3");
  plugin("stderr", "echo broken disk >&2; exit 1");
  plugin("killed", "kill -9 $$");
  EXPECT_NE(error("garbage").msg.find("garbage"), std::string::npos);
  EXPECT_NE(error("nothing").msg.find("exit status 3"), std::string::npos);
  EXPECT_NE(error("stderr").details.find("broken disk"), std::string::npos);
  EXPECT_NE(error("killed").msg.find("signal 9"), std::string::npos);
  plugin("fine", "echo '<html>'");
  EXPECT_EQ(delegate_add(request_, "fine").error().code, kDecodingFailure);
}

TEST_F(Delegate, CNI_144_CNI_145_IsFoundInThePathAndNowhereElse) {
  plugin("p", "true");
  fs::create_directory(folder_ + "/first");
  fs::create_directory(folder_ + "/first/p");
  request_.path = folder_ + "/first::" + folder_;
  EXPECT_EQ(*find_plugin("p", request_.path), folder_ + "/p");
  for (const char* type : {"", "../p", "/bin/sh", ".", ".."}) EXPECT_EQ(error(type).code, kInvalidConfig) << type;
  EXPECT_NE(error("absent").msg.find("absent"), std::string::npos);
  request_.path = "";
  EXPECT_EQ(error("p").code, kInvalidEnvironment);
}

bool runs(const std::string& pid) {
  std::ifstream in("/proc/" + pid + "/stat");
  std::string stat{std::istreambuf_iterator<char>(in), {}};
  return !stat.empty() && stat.find(") Z") == std::string::npos;
}

TEST_F(Delegate, OneThatHangsIsAskedToEndAndThenKilledWithWhatItStarted) {
  plugin("hang", "trap 'echo asked > " + folder_ + "/term' TERM\n(trap '' TERM; exec sleep 60) & echo -n $! > " +
                     folder_ + "/child\necho -n $$ > " + folder_ + "/pid\nwhile :; do sleep 0.05; done");
  auto begin = std::chrono::steady_clock::now();
  DelegateLimits limits;
  limits.timeout_ms = limits.term_ms = 500;
  EXPECT_NE(error("hang", limits).msg.find("no answer"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(text("term"), "asked\n");
  EXPECT_FALSE(runs(text("pid"))) << "although it ignores SIGTERM";
  for (int i = 0; i < 100 && runs(text("child")); i++) usleep(20000);
  EXPECT_FALSE(runs(text("child")));
}

TEST_F(Delegate, OneThatFloodsIsKilled) {
  plugin("flood", "yes");
  DelegateLimits limits;
  limits.stdout_bytes = 65536;
  EXPECT_NE(error("flood", limits).msg.find("more than"), std::string::npos);
}

TEST_F(Delegate, AProcessThatItLeavesBehindDoesNotHoldUsUp) {
  plugin("p", "sleep 60 & echo $! > " + folder_ + "/pid; echo done");
  auto begin = std::chrono::steady_clock::now();
  auto out = delegate(request_, "p", "ADD");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  kill(std::stoi(text("pid")), SIGKILL);
  ASSERT_TRUE(out) << out.error().msg;
  EXPECT_EQ(*out, "done\n");
}

TEST_F(Delegate, ALargeConfigurationThatIsNeverReadIsNoProblem) {
  request_.stdin_text = std::string(3 << 20, ' ');
  plugin("p", "echo ok");
  EXPECT_EQ(*delegate(request_, "p", "ADD"), "ok\n");
  plugin("count", "wc -c");
  EXPECT_EQ(std::stoul(*delegate(request_, "count", "ADD")), request_.stdin_text.size());
}

TEST_F(Delegate, ItDiesWithUs) {
  plugin("p", "echo $$ > " + folder_ + "/pid; exec sleep 60");
  pid_t us = fork();
  if (us == 0) {
    (void)delegate(request_, "p", "ADD");
    _exit(0);
  }
  for (int i = 0; i < 500 && text("pid").empty(); i++) usleep(10000);
  ASSERT_FALSE(text("pid").empty());
  kill(us, SIGKILL);
  waitpid(us, nullptr, 0);
  int pid = std::stoi(text("pid"));
  bool gone = false;
  for (int i = 0; i < 500 && !gone; i++, usleep(10000)) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    gone = !std::getline(stat, line) || line.find(") Z ") != line.npos;
  }
  EXPECT_TRUE(gone);
}

TEST_F(Delegate, CNI_141_ItsResultMayBeOfAnotherVersion) {
  plugin("p", R"(echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24","gateway":"10.0.0.1"}}')");
  auto result = delegate_add(request_, "p");
  ASSERT_TRUE(result) << result.error().msg;
  EXPECT_EQ(result->ips[0].address.to_string(), "10.0.0.2/24");
}

TEST(MeansUnsupported, IsWhatReferencePluginsSayToCommandsTheyDoNotKnow) {
  EXPECT_TRUE(means_unsupported({4, "unknown CNI_COMMAND"}));
  EXPECT_FALSE(means_unsupported({50, "exhausted"}));
}

}  // namespace
}  // namespace fairlead::cni
