// Load for a DNS server over UDP, and what it costs the server: queries from a list of names, from several sockets,
// either with a number of them always in flight or at a fixed rate. Prints one line of JSON.
//   dns_load --server ADDRESS [--port 53] --names FILE --seconds S [--window N | --rate QPS] [--sockets N] [--pid PID]
// FILE: "NAME [TYPE-NUMBER [ADDRESS]]" a line; with an ADDRESS the answer must contain it. --pid: the server's process;
// its threads' run time is read from /proc/PID/task/*/schedstat (nanoseconds, kernel time included).
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr unsigned kBatch = 64;
constexpr size_t kMessage = 2048;

struct Options {
  std::string server, names;
  int port = 53, window = 64, sockets = 16, pid = 0;
  double seconds = 3, rate = 0;
};

struct Question {
  std::vector<uint8_t> bytes;
  std::string address;  // wanted in the answer; empty: any answer with NOERROR
};

struct Totals {
  uint64_t sent = 0, received = 0, wrong = 0, lost = 0;
};

[[noreturn]] void die(const std::string& what) {
  fprintf(stderr, "dns_load: %s\n", what.c_str());
  exit(1);
}

Question make_question(const std::string& line) {
  std::istringstream words(line);
  std::string name, address;
  unsigned type = 1;
  words >> name >> type >> address;
  Question q;
  q.bytes = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  for (size_t at = 0; at < name.size();) {
    size_t dot = std::min(name.find('.', at), name.size());
    q.bytes.push_back(static_cast<uint8_t>(dot - at));
    q.bytes.insert(q.bytes.end(), name.begin() + static_cast<long>(at), name.begin() + static_cast<long>(dot));
    at = dot + 1;
  }
  for (unsigned b : {0u, type >> 8, type & 255, 0u, 1u}) q.bytes.push_back(static_cast<uint8_t>(b));
  if (!address.empty()) {
    uint8_t raw[16];
    int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
    if (inet_pton(family, address.c_str(), raw) != 1) die("not an address: " + address);
    q.address.assign(reinterpret_cast<char*>(raw), family == AF_INET ? 4 : 16);
  }
  return q;
}

std::vector<Question> read_names(const std::string& path) {
  std::vector<Question> questions;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) questions.push_back(make_question(line));
  if (questions.empty()) die("no names in " + path);
  return questions;
}

uint64_t run_time_ns(int pid) {
  uint64_t total = 0;
  std::string folder = "/proc/" + std::to_string(pid) + "/task";
  DIR* dir = opendir(folder.c_str());
  if (!dir) die("no process " + std::to_string(pid));
  while (dirent* entry = readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    std::ifstream file(folder + "/" + entry->d_name + "/schedstat");
    uint64_t ns = 0;
    file >> ns;
    total += ns;
  }
  closedir(dir);
  return total;
}

class Load {
 public:
  Load(const Options& options, const std::vector<Question>& questions) : options_(options), questions_(questions) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<uint16_t>(options.port));
    if (inet_pton(AF_INET, options.server.c_str(), &name.sin_addr) != 1) die("not an IPv4 address: " + options.server);
    for (int i = 0; i < options.sockets; i++) {
      int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), buffer = 1 << 20;
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
      if (connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0)
        die("connect: " + std::string(strerror(errno)));
      polls_.push_back({fd, POLLIN, 0});
      asked_.emplace_back(65536, 0);
      flight_.push_back(0);
    }
  }

  Totals run(double seconds) {
    totals_ = {};
    auto start = Clock::now(),
         end = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    auto heard = start;
    for (auto now = start; now < end; now = Clock::now()) {
      if (options_.rate > 0)
        send_due(std::chrono::duration<double>(now - start).count());
      else
        fill_windows();
      uint64_t before = totals_.received;
      poll(polls_.data(), polls_.size(), options_.rate > 0 ? 1 : 50);
      for (size_t i = 0; i < polls_.size(); i++)
        if (polls_[i].revents) receive(i);
      if (totals_.received != before) heard = Clock::now();
      // What was lost would keep the window closed for ever.
      if (Clock::now() - heard > std::chrono::milliseconds(200)) forget();
    }
    return totals_;
  }

 private:
  void fill_windows() {
    int each = std::max(1, options_.window / options_.sockets);
    int used = std::min<int>(options_.sockets, options_.window);
    for (int i = 0; i < used; i++)
      if (flight_[static_cast<size_t>(i)] < each) send(static_cast<size_t>(i), each - flight_[static_cast<size_t>(i)]);
  }
  void send_due(double elapsed) {
    auto due = static_cast<uint64_t>(elapsed * options_.rate);
    while (totals_.sent < due) {
      send(next_socket_, static_cast<int>(std::min<uint64_t>(due - totals_.sent, kBatch)));
      next_socket_ = (next_socket_ + 1) % polls_.size();
    }
  }
  void send(size_t socket, int count) {
    mmsghdr messages[kBatch] = {};
    iovec vectors[kBatch];
    static std::vector<std::vector<uint8_t>> buffers(kBatch);
    unsigned n = 0;
    for (; n < kBatch && static_cast<int>(n) < count; n++) {
      size_t which = next_name_++ % questions_.size();
      buffers[n] = questions_[which].bytes;
      uint16_t id = next_id_++;
      buffers[n][0] = static_cast<uint8_t>(id >> 8);
      buffers[n][1] = static_cast<uint8_t>(id);
      asked_[socket][id] = static_cast<uint32_t>(which) + 1;
      vectors[n] = {buffers[n].data(), buffers[n].size()};
      messages[n].msg_hdr.msg_iov = &vectors[n];
      messages[n].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(polls_[socket].fd, messages, n, 0);
    if (sent > 0) {
      totals_.sent += static_cast<uint64_t>(sent);
      flight_[socket] += sent;
    }
  }
  void receive(size_t socket) {
    static std::vector<uint8_t> memory(kBatch * kMessage);
    mmsghdr messages[kBatch] = {};
    iovec vectors[kBatch];
    for (unsigned i = 0; i < kBatch; i++) {
      vectors[i] = {memory.data() + i * kMessage, kMessage};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    int n = recvmmsg(polls_[socket].fd, messages, kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < n; i++) check(socket, memory.data() + static_cast<size_t>(i) * kMessage, messages[i].msg_len);
    if (n > 0) flight_[socket] = std::max(0, flight_[socket] - n);
  }
  void check(size_t socket, const uint8_t* data, size_t size) {
    totals_.received++;
    if (size < 12) return void(totals_.wrong++);
    uint32_t& which = asked_[socket][static_cast<size_t>(data[0] << 8 | data[1])];
    bool good = which != 0 && (data[3] & 15) == 0;
    if (good && !questions_[which - 1].address.empty())
      good = memmem(data, size, questions_[which - 1].address.data(), questions_[which - 1].address.size()) != nullptr;
    which = 0;
    totals_.wrong += !good;
  }
  void forget() {
    for (auto& n : flight_) {
      totals_.lost += static_cast<uint64_t>(n);
      n = 0;
    }
  }

  const Options& options_;
  const std::vector<Question>& questions_;
  std::vector<pollfd> polls_;
  std::vector<std::vector<uint32_t>> asked_;  // by socket and id: question + 1
  std::vector<int> flight_;
  size_t next_name_ = 0, next_socket_ = 0;
  uint16_t next_id_ = 0;
  Totals totals_;
};

Options read_options(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string key = argv[i], value = argv[i + 1];
    if (key == "--server")
      o.server = value;
    else if (key == "--names")
      o.names = value;
    else if (key == "--port")
      o.port = atoi(value.c_str());
    else if (key == "--window")
      o.window = atoi(value.c_str());
    else if (key == "--sockets")
      o.sockets = atoi(value.c_str());
    else if (key == "--pid")
      o.pid = atoi(value.c_str());
    else if (key == "--seconds")
      o.seconds = atof(value.c_str());
    else if (key == "--rate")
      o.rate = atof(value.c_str());
    else
      die("unknown option " + key);
  }
  if (o.server.empty() || o.names.empty()) die("--server and --names are needed");
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = read_options(argc, argv);
  auto questions = read_names(options.names);
  Load load(options, questions);
  load.run(0.2);  // warm: routes, caches, the server's buffers
  uint64_t before = options.pid ? run_time_ns(options.pid) : 0;
  auto start = Clock::now();
  Totals t = load.run(options.seconds);
  double wall = std::chrono::duration<double>(Clock::now() - start).count();
  uint64_t cpu = options.pid ? run_time_ns(options.pid) - before : 0;
  double each = t.received ? static_cast<double>(cpu) / 1e3 / static_cast<double>(t.received) : 0;
  printf(
      "{\"sent\": %llu, \"received\": %llu, \"wrong\": %llu, \"lost\": %llu, \"seconds\": %.3f, \"qps\": %.0f, "
      "\"cpu_us_per_query\": %.4f}\n",
      static_cast<unsigned long long>(t.sent), static_cast<unsigned long long>(t.received),
      static_cast<unsigned long long>(t.wrong), static_cast<unsigned long long>(t.lost), wall,
      static_cast<double>(t.received) / wall, each);
  return t.received > 0 && t.wrong == 0 ? 0 : 1;
}
