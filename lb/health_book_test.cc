#include "lb/health_book.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "state/store.h"

namespace fairlead::lb {
namespace {

const BackendName kOne{"appnet", "web", "t1-eth0"}, kTwo{"appnet", "web", "t2-eth0"};
const ObjectKey kWeb{"appnet", "web"};

TEST(HealthBook, ANewBackendHasToProveItself) {
  HealthBook book;
  EXPECT_EQ(book.verdict(kOne), Verdict::kPending);
  EXPECT_EQ(book.unhealthy(kWeb), 1u);
  book.set(kOne, true);
  EXPECT_EQ(book.verdict(kOne), Verdict::kHealthy);
  EXPECT_EQ(book.unhealthy(kWeb), 0u);
  EXPECT_EQ(book.transitions(kWeb), 1u);
}

TEST(HealthBook, LB45AfterARestartWhoWasHealthyStaysSo) {
  auto document = std::make_shared<ServiceHealth>();
  document->unhealthy = {"t2-eth0"};
  HealthBook book;
  book.restore({{kWeb, document}});
  EXPECT_EQ(book.verdict(kOne), Verdict::kHealthy);
  EXPECT_EQ(book.verdict(kTwo), Verdict::kUnhealthy);
  book.end_of_restart();
  EXPECT_EQ(book.verdict({"appnet", "web", "t3-eth0"}), Verdict::kPending);
}

TEST(HealthBook, AVerdictAboutAForgottenBackendIsNotKept) {
  HealthBook book;
  book.verdict(kOne);
  book.keep_only({});
  book.set(kOne, false);
  EXPECT_EQ(book.transitions(kWeb), 0u);
  EXPECT_EQ(book.unhealthy(kWeb), 0u);
}

TEST(HealthBook, TellsTheUnhealthyPerServiceAndRemovesWhatIsNotChecked) {
  char folder[] = "/tmp/health-book-XXXXXX";
  ASSERT_TRUE(mkdtemp(folder));
  Paths paths{folder, folder};
  HealthBook book;
  book.verdict(kOne);
  book.verdict(kTwo);
  book.set(kOne, true);
  std::map<ObjectKey, ServiceHealth> written;
  ASSERT_TRUE(save_health(paths, book.documents({kWeb, {"appnet", "api"}}), {}, written));
  auto text = read_file(paths.health("appnet", "web"));
  ASSERT_TRUE(text && *text);
  EXPECT_NE((*text)->find("t2-eth0"), std::string::npos);
  EXPECT_EQ((*text)->find("t1-eth0"), std::string::npos);
  EXPECT_TRUE(read_file(paths.health("appnet", "api"))->has_value());
  ASSERT_TRUE(save_health(paths, book.documents({kWeb}), {}, written));
  EXPECT_FALSE(read_file(paths.health("appnet", "api"))->has_value());
}

}  // namespace
}  // namespace fairlead::lb
