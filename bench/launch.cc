// Starts programs as a container runtime does and measures each: wall time from spawn to exit, and the CPU time of the
// program and of everything it waited for (wait4). Written in C++ so that the starter's own cost is small and the same
// for all.
//
// Standard input, one line each, fields separated by tabs:
//   job NAME STDIN STDOUT PROGRAM K=V K=V ...     remembers a job; the variables are its whole environment
//   serial                                        runs the remembered jobs one after another
//   parallel                                      starts them all at once: each is forked and waits at a barrier, then
//   executes
// Answers: NAME STATUS WALL_NS CPU_US for each job, then "end" and the time from the (common) start to the last exit.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

namespace {

struct Job {
  std::string name, in, out, program;
  std::vector<std::string> environment;
  pid_t pid = -1;
  int status = 0;
  int64_t wall_ns = 0, cpu_us = 0;

  std::vector<char*> envp() {
    std::vector<char*> pointers;
    for (std::string& variable : environment) pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    return pointers;
  }
};

int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000000000} + t.tv_nsec;
}

[[noreturn]] void die(const std::string& what, int error) {
  std::cerr << "bench launcher: " << what << ": " << strerror(error) << std::endl;
  _exit(1);
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  for (size_t at = 0; at <= line.size();) {
    size_t tab = std::min(line.find('\t', at), line.size());
    fields.push_back(line.substr(at, tab - at));
    at = tab + 1;
  }
  return fields;
}

// Waits for one child and books its exit at `start`. False when there is none left.
bool reap(std::vector<Job>& jobs, int64_t start) {
  int status = 0;
  rusage used{};
  pid_t pid = wait4(-1, &status, 0, &used);
  if (pid < 0) return false;
  int64_t end = now_ns();
  for (Job& job : jobs) {
    if (job.pid != pid) continue;
    job.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    job.wall_ns = end - start;
    job.cpu_us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * int64_t{1000000} + used.ru_utime.tv_usec +
                 used.ru_stime.tv_usec;
  }
  return true;
}

void spawn(Job& job) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, job.in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, job.out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  char* argv[] = {job.program.data(), nullptr};
  int error = posix_spawn(&job.pid, job.program.c_str(), &files, nullptr, argv, job.envp().data());
  if (error) die("start " + job.program, error);
  posix_spawn_file_actions_destroy(&files);
}

int64_t run_serial(std::vector<Job>& jobs) {
  int64_t first = now_ns();
  for (Job& job : jobs) {
    int64_t start = now_ns();
    spawn(job);
    reap(jobs, start);
  }
  return now_ns() - first;
}

[[noreturn]] void wait_and_execute(Job& job, int barrier) {
  std::vector<char*> envp = job.envp();
  char* argv[] = {job.program.data(), nullptr};
  int in = open(job.in.c_str(), O_RDONLY);
  int out = open(job.out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(120);
  char released = 0;
  if (read(barrier, &released, 1) != 0) _exit(121);  // end of file: the parent closed its end
  close(barrier);
  execve(job.program.c_str(), argv, envp.data());
  _exit(127);
}

int64_t run_parallel(std::vector<Job>& jobs) {
  int barrier[2];
  if (pipe(barrier) != 0) die("pipe", errno);
  for (Job& job : jobs) {
    job.pid = fork();
    if (job.pid < 0) die("fork", errno);
    if (job.pid == 0) {
      close(barrier[1]);
      wait_and_execute(job, barrier[0]);
    }
  }
  usleep(20000);  // let every child reach the barrier
  close(barrier[0]);
  int64_t start = now_ns();
  close(barrier[1]);
  while (reap(jobs, start)) {
  }
  return now_ns() - start;
}

}  // namespace

int main() {
  std::vector<Job> jobs;
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::string> fields = split(line);
    if (fields[0] == "job" && fields.size() >= 5) {
      jobs.push_back(Job{fields[1], fields[2], fields[3], fields[4], {fields.begin() + 5, fields.end()}});
      continue;
    }
    if (fields[0] != "serial" && fields[0] != "parallel") die("unknown command " + line, EINVAL);
    int64_t total = fields[0] == "serial" ? run_serial(jobs) : run_parallel(jobs);
    for (const Job& job : jobs) {
      printf("%s\t%d\t%lld\t%lld\n", job.name.c_str(), job.status, static_cast<long long>(job.wall_ns),
             static_cast<long long>(job.cpu_us));
    }
    printf("end\t%lld\n", static_cast<long long>(total));
    fflush(stdout);
    jobs.clear();
  }
  return 0;
}
