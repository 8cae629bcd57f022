// The nftables rules of a router (table inet fairlead in its namespace), as text in nft's own language.
//
// Deny by default. Order is cost: what is established is decided first; only the source check runs for every packet.
// The balancer's own table (inet fairlead_lb) rewrites destinations before these chains see a packet, so that
// here a connection to a service is a connection to a container.
// One table per router, the same size however many endpoints it has: who may use which source address is the
// router's own routing table (fib), which ADD fills anyway.
#pragma once

#include <string>

#include "overlay/mesh.h"
#include "state/records.h"

namespace fairlead::overlay {

// One transaction: removes the table if there is one and makes it anew. Established flows are not touched.
// mesh: nullptr where this node is alone.
std::string router_rules(const Network& network, const Router& router, const Mesh* mesh = nullptr);

// "table inet NAME {}\ndelete table inet NAME\n": makes what follows a replacement.
std::string replace_table(const std::string& name);

}  // namespace fairlead::overlay
