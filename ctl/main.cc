// fairleadctl: the grammar of its commands. What they do is in the other files of this folder; this is the only one
// that includes CLI11 (16 s a compilation).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "ctl/cluster_commands.h"
#include "ctl/context.h"
#include "ctl/endpoint_commands.h"
#include "ctl/network_commands.h"
#include "ctl/node_commands.h"
#include "ctl/parse.h"
#include "ctl/reservation_commands.h"
#include "ctl/service_commands.h"
#include "ctl/status_command.h"
#include "ctl/who_has.h"

namespace fairlead::ctl {
namespace {

constexpr int kUsage = 2;

// What the command line fills in. It lives as long as the grammar.
struct Arguments {
  std::string state_dir, run_dir;
  std::string network_name, encryption = "none";
  std::vector<std::string> subnets;
  bool internal = false;
  uint16_t port = 0;
  uint32_t mtu = 0, block_length4 = 0, block_length6 = 0;
  ServiceArguments service;
  std::string filter_network, filter_service, endpoint;
  ClusterArguments cluster;
  std::string address, reservation;
  std::vector<std::string> addresses;
};

struct Outcome {
  Output output = std::string();
  bool usage = false;               // an Error is wrong usage
  const CLI::App* group = nullptr;  // a group was named, but none of its commands
};

// A command that has options of its own to parse first: a failure there is wrong usage.
template <class Parsed, class Run>
void run_parsed(Outcome& outcome, Result<Parsed> parsed, Run run) {
  outcome.usage = !parsed;
  outcome.output = parsed ? run(*parsed) : Output(fail(parsed.error()));
}

CLI::App* add_command(CLI::App& parent, Context& context, const char* name, const char* what) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->add_flag("--json", context.json, "Answer as JSON");
  return command;
}

// CLI11's own require_subcommand would hide a mistyped command behind "A subcommand is required".
void expect_command(CLI::App* group, Outcome& outcome) {
  group->callback([group, &outcome] {
    if (group->get_subcommands().empty()) outcome.group = group;
  });
}

CLI::App* add_group(CLI::App& parent, Outcome& outcome, const char* name, const char* what) {
  CLI::App* group = parent.add_subcommand(name, what);
  expect_command(group, outcome);
  return group;
}

// An option that may be given several times, one value each time (CLI11 would take every word that follows).
template <class T>
CLI::Option* add_repeated(CLI::App* command, const char* name, T& values, const char* what) {
  return command->add_option(name, values, what)->allow_extra_args(false);
}

void add_network_commands(CLI::App& app, Context& context, Arguments& a, Outcome& outcome) {
  CLI::App* group =
      add_group(app, outcome, "network", "Networks: isolated from one another, one subnet per address family");
  CLI::App* create = add_command(*group, context, "create", "Create a network");
  create->add_option("NAME", a.network_name, "Its name, for people and in DNS")->required();
  add_repeated(create, "--subnet", a.subnets, "IPv4 or IPv6 subnet, at most one of each (default: free ones)");
  create->add_option("--encryption", a.encryption, "Between nodes: none, ipsec or wireguard")
      ->check(CLI::IsMember({"none", "ipsec", "wireguard"}))
      ->capture_default_str();
  create->add_flag("--internal", a.internal, "No way out of the network, neither packets nor DNS queries");
  create->add_option("--mtu", a.mtu, "MTU of the containers' interfaces (default: from the underlay)")
      ->check(CLI::Range(1280, 65535));
  create->add_option("--vxlan-port", a.port, "UDP port between nodes (default: 4789; ipsec 4790, wireguard 4791)")
      ->check(CLI::Range(1, 65535));
  create->add_option("--block-size", a.block_length4, "Prefix length of the blocks nodes get of the IPv4 subnet")
      ->check(CLI::Range(1, 32));
  create->add_option("--block-size6", a.block_length6, "The same for the IPv6 subnet")->check(CLI::Range(1, 128));
  create->callback([&] {
    run_parsed(outcome, parse_subnets(a.subnets), [&](const std::vector<Prefix>& subnets) {
      return network_create(context, {a.network_name, subnets, a.encryption, a.internal, a.mtu, a.port, a.block_length4,
                                      a.block_length6});
    });
  });
  add_command(*group, context, "ls", "List networks")->callback([&] { outcome.output = network_list(context); });
  CLI::App* inspect = add_command(*group, context, "inspect", "Show one network");
  inspect->add_option("NAME", a.network_name)->required();
  inspect->callback([&] { outcome.output = network_inspect(context, a.network_name); });
  CLI::App* rm = add_command(*group, context, "rm", "Remove a network without services and endpoints");
  rm->add_option("NAME", a.network_name)->required();
  rm->callback([&] { outcome.output = network_remove(context, a.network_name); });
}

void name_service(CLI::App* command, ServiceArguments& s) {
  command->add_option("NAME", s.name, "The service")->required();
  command->add_option("--network", s.network, "The network it is in")->required();
}

void add_service_options(CLI::App* command, ServiceArguments& s) {
  name_service(command, s);
  add_repeated(command, "--port", s.ports,
               "[NAME=]PORT[:TARGET][/tcp|udp|sctp]: name for SRV records, port on the VIP, port of the containers");
  add_repeated(command, "--publish", s.publications,
               "PUBLISHED:TARGET[/tcp|udp|sctp]: port on every node, port of the containers");
  command->add_option("--publish-mode", s.publish_mode, "ingress: every node, any task; host: only local tasks")
      ->check(CLI::IsMember({"ingress", "host"}));
  command->add_option("--endpoint-mode", s.endpoint_mode, "vip: one address per family; dnsrr: DNS names the tasks")
      ->check(CLI::IsMember({"vip", "dnsrr"}));
  add_repeated(command, "--vip", s.vips,
               "Address from the network's VIP pool, at most one of a family (default: free ones)");
  command->add_option("--scheduler", s.scheduler, "How connections are spread (IPVS names)")
      ->check(CLI::IsMember({"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"}));
  command->add_option("--affinity", s.affinity, "How long a client keeps its task, like 10m (0: not at all)");
  command->add_option("--health", s.health, "tcp[:PORT] or http[:PORT][/PATH] (default port: the first target port)");
  command->add_option("--health-interval", s.health_interval, "Time between checks (default 1s)");
  command->add_option("--health-timeout", s.health_timeout, "Time a task has to answer (default 500ms)");
  command->add_option("--unhealthy-after", s.unhealthy_after, "Failed checks in a row (default 2)")
      ->check(CLI::Range(1, 100));
  command->add_option("--healthy-after", s.healthy_after, "Good checks in a row (default 1)")
      ->check(CLI::Range(1, 100));
  add_repeated(command, "--http-host", s.http_hosts, "Host name of the HTTP routing mesh");
  command->add_option("--drain", s.drain, "How long a task that leaves keeps its connections (default 10s)");
  add_repeated(command, "--weight", s.weights, "NAME=N: share of one task, by its name or address (default 1)");
}

void add_service_commands(CLI::App& app, Context& context, Arguments& a, Outcome& outcome) {
  CLI::App* group =
      add_group(app, outcome, "service", "Services: a name and a VIP in front of the endpoints that back it");
  CLI::App* create = add_command(*group, context, "create", "Create a service");
  add_service_options(create, a.service);
  create->callback([&] {
    run_parsed(outcome, parse(a.service), [&](const ServiceOptions& o) { return service_create(context, o); });
  });
  CLI::App* update = add_command(*group, context, "update", "Change a service; what is not given stays as it is");
  add_service_options(update, a.service);
  update->footer(
      "--port, --publish, --http-host and --vip replace what was there; the word none empties them (not --vip).");
  update->callback([&] {
    run_parsed(outcome, parse(a.service), [&](const ServiceOptions& o) { return service_update(context, o); });
  });
  CLI::App* ls = add_command(*group, context, "ls", "List services");
  ls->add_option("--network", a.filter_network, "Only of this network");
  ls->callback([&] { outcome.output = service_list(context, a.filter_network); });
  CLI::App* inspect = add_command(*group, context, "inspect", "Show one service and its tasks");
  name_service(inspect, a.service);
  inspect->callback([&] { outcome.output = service_inspect(context, a.service.network, a.service.name); });
  CLI::App* rm = add_command(*group, context, "rm", "Remove a service");
  name_service(rm, a.service);
  rm->callback([&] { outcome.output = service_remove(context, a.service.network, a.service.name); });
}

void add_other_commands(CLI::App& app, Context& context, Arguments& a, Outcome& outcome) {
  CLI::App* group = add_group(app, outcome, "endpoint", "Endpoints: one interface of one container on one network");
  CLI::App* ls = add_command(*group, context, "ls", "List endpoints");
  ls->add_option("--network", a.filter_network, "Only of this network");
  ls->add_option("--service", a.filter_service, "Only those that back this service");
  ls->callback([&] { outcome.output = endpoint_list(context, a.filter_network, a.filter_service); });
  CLI::App* inspect = add_command(*group, context, "inspect", "Show the endpoints of one container");
  inspect->add_option("ENDPOINT", a.endpoint, "Container id or its beginning, name or address")->required();
  inspect->add_option("--network", a.filter_network, "Only of this network");
  inspect->callback([&] { outcome.output = endpoint_inspect(context, a.endpoint, a.filter_network); });
  CLI::App* who = add_command(*group, context, "who-has", "Say whose an address is, in every network that contains it");
  who->add_option("ADDRESS", a.address, "IPv4 or IPv6 address")->required();
  who->add_option("--network", a.filter_network, "Only in this network");
  who->footer(
      "A container with its names and since when; reserved or kept for a name; VIP of a service; the gateway; in "
      "the VIP pool;\nin another node's block; free.");
  who->callback([&] {
    run_parsed(outcome, Address::parse(a.address),
               [&](const Address& address) { return endpoint_who_has(context, address, a.filter_network); });
  });
  CLI::App* node = add_group(app, outcome, "node", "Nodes: the hosts of the cluster");
  add_command(*node, context, "ls", "List them, with who is live and how many endpoints are known of each")
      ->callback([&] { outcome.output = node_list(context); });
  add_command(app, context, "status", "Daemons, counts and problems of this node")->callback([&] {
    outcome.output = status(context);
  });
}

void name_node(CLI::App* command, ClusterArguments& c) {
  command->add_option("--name", c.name, "Name of this node (default: the host's)");
}

void add_join_command(CLI::App& group, Context& context, ClusterArguments& c, Outcome& outcome) {
  CLI::App* join = add_command(group, context, "join", "Join a cluster");
  join->add_option("ADDRESS", c.manager, "IP address of one of its managers, or ADDRESS:PORT")->required();
  join->add_option("--token-file", c.token_file, "File that holds the token (default: -, read it from stdin)");
  name_node(join, c);
  join->add_option("--advertise", c.advertise, "Address of this node (default: the one it reaches the manager from)");
  join->callback([&] { outcome.output = cluster_join(context, c); });
}

void add_cluster_commands(CLI::App& app, Context& context, ClusterArguments& c, Outcome& outcome) {
  CLI::App* group = add_group(app, outcome, "cluster", "The cluster: several nodes, one set of networks and services");
  CLI::App* init = add_command(*group, context, "init", "Found a cluster; this node is its first manager");
  init->add_option("--advertise", c.advertise, "Where the others reach this node: IP address, or ADDRESS:PORT")
      ->required();
  name_node(init, c);
  init->add_option("--certificate-life", c.certificate_life, "How long certificates are valid")->capture_default_str();
  init->add_option("--lease", c.lease, "After how long a silent node counts as dead")->capture_default_str();
  init->add_option("--key-interval", c.key_interval, "Age of the keys of encrypted networks at which new ones are made")
      ->capture_default_str();
  init->add_option("--block-grace", c.block_grace, "How long a former member's addresses rest before others get them")
      ->capture_default_str();
  init->callback([&] { outcome.output = cluster_init(context, c); });
  CLI::App* token = add_command(*group, context, "token", "Make a token to join with, and print it");
  token->add_option("ROLE", c.role, "What who joins becomes: node, manager, operator or viewer")
      ->required()
      ->check(CLI::IsMember({"node", "manager", "operator", "viewer"}));
  token->add_option("--expires", c.expires, "How long it is valid")->capture_default_str();
  token->add_option("--uses", c.uses, "How often it can be used")->check(CLI::Range(1, 32767))->capture_default_str();
  token->callback([&] { outcome.output = cluster_token(context, c); });
  add_join_command(*group, context, c, outcome);
  CLI::App* leave = add_command(*group, context, "leave", "Leave the cluster; networks and containers stay");
  leave->add_flag("--force", c.force, "Also when no manager can be reached, or as the last one");
  leave->callback([&] { outcome.output = cluster_leave(context, c); });
  CLI::App* evict = add_command(*group, context, "evict", "Remove a member, above all one that is lost");
  evict->add_option("MEMBER", c.member, "Its name")->required();
  evict->callback([&] { outcome.output = cluster_evict(context, c); });
  add_command(*group, context, "accept", "Take the managers' store for good after it has gone back in time")
      ->callback([&] { outcome.output = cluster_accept(context); });
  CLI::App* rotate = add_command(*group, context, "rotate", "Make new keys now");
  rotate->add_option("WHAT", c.what, "keys: those of encrypted networks; ca: the authority all certificates come from")
      ->required()
      ->check(CLI::IsMember({"keys", "ca"}));
  rotate->add_flag("--finish", c.finish,
                   "ca: trust the old authority no longer, whoever still has a certificate of it");
  rotate->callback([&] { outcome.output = cluster_rotate(context, c); });
  CLI::App* check = add_command(*group, context, "check", "Compare the documents here with the managers' store");
  check->add_flag("--local", c.local, "Only of this node; on a manager otherwise every live member's");
  check->callback([&] { outcome.output = cluster_check(context, c); });
  add_command(*group, context, "preflight", "Try whether what nodes send one another gets through to the managers")
      ->callback([&] { outcome.output = cluster_preflight(context); });
  add_command(*group, context, "status", "This node's part in its cluster, and the members")->callback([&] {
    outcome.output = cluster_status(context);
  });
}

void add_reservation_commands(CLI::App& app, Context& context, Arguments& a, Outcome& outcome) {
  CLI::App* group =
      add_group(app, outcome, "reservation", "Reservations: addresses that are one name's and nobody else's");
  CLI::App* create = add_command(*group, context, "create", "Reserve addresses for the endpoint of a name");
  create->add_option("NAME", a.reservation, "DNS name of the endpoint: a container's or pod's name")->required();
  create->add_option("--network", a.filter_network, "The network the addresses are of")->required();
  add_repeated(create, "--address", a.addresses,
               "Address, at most one of a family (default: what the endpoint of that name has, else free ones)");
  create->footer(
      "Refused: addresses in use by others, the gateway, the VIP pool, what is reserved for another name.\n"
      "An endpoint that runs keeps its address until it is started again.");
  create->callback([&] {
    run_parsed(outcome, parse_addresses("--address", a.addresses), [&](const std::vector<Address>& addresses) {
      return reservation_create(context, a.reservation, a.filter_network, addresses);
    });
  });
  CLI::App* ls = add_command(*group, context, "ls", "List reservations and who uses them");
  ls->add_option("--network", a.filter_network, "Only of this network");
  ls->callback([&] { outcome.output = reservation_list(context, a.filter_network); });
  CLI::App* rm = add_command(*group, context, "rm", "Remove a reservation; who has the addresses keeps them");
  rm->add_option("NAME", a.reservation, "The name they are reserved for")->required();
  rm->add_option("--network", a.filter_network, "The network the addresses are of")->required();
  rm->callback([&] { outcome.output = reservation_remove(context, a.reservation, a.filter_network); });
}

// The innermost command that was named.
const CLI::App* innermost(const CLI::App& app) {
  const CLI::App* last = &app;
  while (!last->get_subcommands().empty()) last = last->get_subcommands().front();
  return last;
}

int refuse_usage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = innermost(app);
  std::string path;
  for (const CLI::App* c = command; c; c = c->get_parent()) path = c->get_name() + (path.empty() ? "" : " " + path);
  std::string message = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    auto extras = app.remaining(true);
    message = "\"" + (extras.empty() ? "" : extras.front()) + "\" was not expected";
    std::string commands;
    for (const CLI::App* c : command->get_subcommands([](const CLI::App*) { return true; }))
      commands += (commands.empty() ? "; there are: " : " ") + c->get_name();
    message += commands;
  }
  fprintf(stderr, "%s: %s (see %s --help)\n", path.c_str(), message.c_str(), path.c_str());
  return kUsage;
}

int print(const Context& context, const Outcome& outcome) {
  if (outcome.group) {
    fputs(outcome.group->help().c_str(), stderr);
    return kUsage;
  }
  for (const auto& warning : context.warnings) fprintf(stderr, "fairleadctl: warning: %s\n", warning.c_str());
  if (!outcome.output) {
    fprintf(stderr, "fairleadctl: %s\n", outcome.output.error().message.c_str());
    return outcome.usage ? kUsage : EXIT_FAILURE;
  }
  if (fputs(outcome.output->c_str(), stdout) < 0 || fflush(stdout) != 0) {
    fprintf(stderr, "fairleadctl: the answer could not be written: %m\n");
    return EXIT_FAILURE;
  }
  return context.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int run(int argc, char** argv) {
  CLI::App app("Networks, services and endpoints of Fairlead.", "fairleadctl");
  Context context;
  Arguments arguments;
  Outcome outcome;
  app.set_version_flag("--version", "fairleadctl " FAIRLEAD_VERSION);
  app.add_option("--state-dir", arguments.state_dir, "Operator's documents (FAIRLEAD_STATE_DIR, /var/lib/fairlead)");
  app.add_option("--run-dir", arguments.run_dir, "This boot's documents (FAIRLEAD_RUN_DIR, /run/fairlead)");
  expect_command(&app, outcome);
  // Before any command runs: where the documents are.
  context.paths = Paths::from_environment();
  app.parse_complete_callback([&] {
    if (!arguments.state_dir.empty()) context.paths.state = arguments.state_dir;
    if (!arguments.run_dir.empty()) context.paths.run = arguments.run_dir;
  });
  add_network_commands(app, context, arguments, outcome);
  add_service_commands(app, context, arguments, outcome);
  add_other_commands(app, context, arguments, outcome);
  add_cluster_commands(app, context, arguments.cluster, outcome);
  add_reservation_commands(app, context, arguments, outcome);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    return refuse_usage(app, error);
  }
  return print(context, outcome);
}

}  // namespace
}  // namespace fairlead::ctl

int main(int argc, char** argv) {
  try {
    return fairlead::ctl::run(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "fairleadctl: %s\n", error.what());
    return 70;
  }
}
