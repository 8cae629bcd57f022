"""All checks, in the order of their ids."""
from . import (checks_add, checks_bandwidth, checks_capabilities, checks_check, checks_config, checks_del, checks_delegate,  # noqa: F401
               checks_environment, checks_gc, checks_ipam, checks_ports, checks_robust, checks_status, checks_version)
from .judge import CHECKS

ALL = sorted(CHECKS, key=lambda c: [int(part) for part in c.id.removeprefix("CNI-").split(".")])
assert len({c.id for c in ALL}) == len(ALL), "every id once"
