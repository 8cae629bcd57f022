// A runtime made of nothing but libcni: what containerd and Podman do with a configuration, without containerd and Podman.
//
//	driver ADD|CHECK|DEL|CACHED < {"conflist": {…}, "netns": "/run/netns/x", "id": "c1", "ifname": "eth0",
//	                               "args": [["K", "V"]], "capabilities": {…}, "path": ["/usr/lib/cni"], "cache": "/tmp/cache"}
//
// Prints the result of ADD (as the list's version has it) and of CACHED (what the cache holds); status 1 and the error otherwise.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

type order struct {
	Conflist     json.RawMessage        `json:"conflist"`
	Netns        string                 `json:"netns"`
	ID           string                 `json:"id"`
	Ifname       string                 `json:"ifname"`
	Args         [][2]string            `json:"args"`
	Capabilities map[string]interface{} `json:"capabilities"`
	Path         []string               `json:"path"`
	Cache        string                 `json:"cache"`
}

func run(command string) (types.Result, error) {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return nil, err
	}
	list, err := libcni.ConfListFromBytes(o.Conflist)
	if err != nil {
		return nil, err
	}
	cni := libcni.NewCNIConfigWithCacheDir(o.Path, o.Cache, nil)
	rt := &libcni.RuntimeConf{ContainerID: o.ID, NetNS: o.Netns, IfName: o.Ifname, Args: o.Args, CapabilityArgs: o.Capabilities}
	ctx := context.Background()
	switch command {
	case "ADD":
		return cni.AddNetworkList(ctx, list, rt)
	case "CHECK":
		return nil, cni.CheckNetworkList(ctx, list, rt)
	case "DEL":
		return nil, cni.DelNetworkList(ctx, list, rt)
	case "CACHED":
		return cni.GetNetworkListCachedResult(list, rt)
	}
	return nil, fmt.Errorf("unknown command %s", command)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: driver ADD|CHECK|DEL|CACHED")
		os.Exit(2)
	}
	result, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if result != nil {
		if err := result.PrintTo(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
