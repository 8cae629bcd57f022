"""The words in which black-box tests are written; see ../README.md."""
from .check import (contains, equal, eventually, lacks, measure, never, refused, silent, true, unreachable)
from .container import CniError, Container, cni_args, conflist
from .host import Host
from .lab import Lab, isolated
from .marks import alone, limit, needs, variants
from .place import Place

__all__ = ["contains", "equal", "eventually", "lacks", "measure", "never", "refused", "silent", "true", "unreachable",
           "CniError", "Container", "cni_args", "conflist", "Host", "Lab", "isolated", "alone", "limit", "needs",
           "variants", "Place"]
