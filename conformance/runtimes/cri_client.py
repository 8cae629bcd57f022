#!/usr/bin/python3
"""Carries calls to a CRI socket: one JSON line {"method", "request" (hex)} in, one {"response" (hex)} or {"error"} out.

gRPC's threads do not live together with a test process that forks for every command, so they have one of their own.
"""
import json
import sys

import grpc


def main():
    channel = grpc.insecure_channel("unix://" + sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        call = channel.unary_unary("/runtime.v1." + order["method"])
        try:
            answer = {"response": call(bytes.fromhex(order["request"]), timeout=order["timeout"]).hex()}
        except grpc.RpcError as error:
            answer = {"error": f"{error.code().name}: {error.details()}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
