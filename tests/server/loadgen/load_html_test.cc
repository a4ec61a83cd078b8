#include "server/loadgen/load_html.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/loadgen/sample_reports.h"

namespace runahead {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(LoadHtmlTest, NeedsNothingButItself) {
  for (const std::string& page :
       {ToHtml({SampleReport()}), ToHtml({SampleReport("a"), SampleReport("b")})}) {
    for (const char* outside : {"src=", "href=", "<script", "@import", "url("}) {
      EXPECT_THAT(page, Not(HasSubstr(outside)));
    }
    EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
    EXPECT_THAT(page, HasSubstr("</main></body></html>"));
  }
}

TEST(LoadHtmlTest, OneRunIsToldInFull) {
  const std::string page = ToHtml({SampleReport()});
  EXPECT_THAT(page, HasSubstr("<h1>demo</h1>"));
  EXPECT_THAT(page, HasSubstr("<th>TTFT</th><td>534.0</td><td>534.0</td>"));
  EXPECT_THAT(page, HasSubstr(">66.7<small>%</small>"));
  EXPECT_THAT(page, HasSubstr("ttft within 530 ms</th><td>44.4 %</td>"));
  EXPECT_THAT(page, HasSubstr("1 of 9 requests failed"));
  EXPECT_THAT(page, HasSubstr("<dt>server</dt><dd>http://127.0.0.1:8000</dd>"));
}

TEST(LoadHtmlTest, WordsOfServersAreWords) {
  LoadReport report = SampleReport("<script>alert(1)</script>");
  const std::string page = ToHtml({report});
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, HasSubstr("&lt;full&gt; &amp; &quot;busy&quot;"));
}

TEST(LoadHtmlTest, SeveralRunsStandSideBySide) {
  const std::string page = ToHtml({SampleReport("ours"), SampleReport("theirs")});
  EXPECT_THAT(page, HasSubstr("<h1>2 runs</h1>"));
  EXPECT_THAT(page, HasSubstr("<span class=\"key c1\"></span>theirs</th><td>8 of 9</td>"));
}

}  // namespace
}  // namespace runahead
