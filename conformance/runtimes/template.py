"""The configuration docs/runtimes.md shows is the one the tests use, so that what stands there works."""
import copy
import json
import re

from lab.lab import REPOSITORY


def _read():
    with open(f"{REPOSITORY}/docs/runtimes.md", encoding="utf-8") as file:
        return json.loads(re.search(r"^```json\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)[1])


_TEMPLATE = _read()


def cni_list(network, plugins=(), **keys):
    """The documented configuration, of this network; keys go to the plugin, `plugins` are chained behind it."""
    conf = copy.deepcopy(_TEMPLATE)
    conf["name"] = network
    conf["plugins"][0].update(network=network, **keys)
    conf["plugins"] += plugins
    return conf
