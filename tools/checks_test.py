#!/usr/bin/python3
"""The checks of tools/ on a small repository in which everything they look for is wrong, and on one where nothing is."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = os.path.dirname(os.path.abspath(__file__))
RULES = """# x
## Who may use what
| folder | what | may use | libraries |
| --- | --- | --- | --- |
| `base/` | b | – | nlohmann-json, httplib (`daemon.cc`) |
| `state/` | s | `base/` | – |
| `kernel/` | k | `base/` | – |
| `agent/` | a | `base/`, `state/` | – |
| `ctl/` | c | `base/`, `state/` | CLI11 (`main.cc`) |
## End
"""
LONG = "int f() {\n" + "  g();\n" * 59 + "}\n"


class Repository(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="fairlead-checks-")
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copytree(TOOLS, f"{self.root}/tools", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        self.write("docs/architecture.md", RULES)
        self.write("base/daemon.cc", '#include <httplib.h>\n#include "base/json.h"\n')
        self.write("ctl/main.cc", '#include <CLI/CLI.hpp>\n#include "state/store.h"\nint f() {\n' + "  g();\n" * 58 + "}\n")
        self.write("ctl/CMakeLists.txt", "fairlead_library(ctl SOURCES a.cc LINK fairlead_state)\n")
        self.write("state/CMakeLists.txt", "fairlead_library(state SOURCES a.cc LINK fairlead_base)\n")
        self.write("base/CMakeLists.txt", "fairlead_library(base SOURCES a.cc LINK nlohmann_json::nlohmann_json)\n")

    def write(self, path, text):
        os.makedirs(os.path.dirname(f"{self.root}/{path}"), exist_ok=True)
        with open(f"{self.root}/{path}", "w", encoding="utf-8") as file:
            file.write(text)

    def run_check(self, name):
        done = subprocess.run([sys.executable, f"{self.root}/tools/{name}"], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def expect(self, check, path, text, message):
        """Nothing to complain of, then something, told with this message."""
        self.assertEqual(self.run_check(check), (0, ""))
        self.write(path, text)
        status, said = self.run_check(check)
        self.assertEqual(status, 1)
        self.assertIn(message, said)

    def test_an_include_against_the_rules(self):
        self.expect("check-deps", "state/x.cc", '#include "kernel/rtnl.h"\n', "state/x.cc: uses kernel (kernel/rtnl.h)")

    def test_an_executable_that_includes_another(self):
        self.expect("check-deps", "ctl/x.cc", '  # include "agent/host.h"\n', "ctl/x.cc: uses agent")

    def test_a_library_in_the_wrong_file(self):
        self.expect("check-deps", "ctl/x.cc", "#include <CLI/App.hpp>\n", "only main.cc may")

    def test_a_library_in_the_wrong_folder(self):
        self.expect("check-deps", "state/x.cc", "#include <httplib.h>\n", "uses httplib")

    def test_a_folder_nobody_described(self):
        self.expect("check-deps", "magic/x.cc", "int x;\n", "magic/ is missing")

    def test_a_link_against_the_rules(self):
        self.expect("check-deps", "state/CMakeLists.txt",
                    "fairlead_library(state SOURCES a.cc\n  LINK fairlead_base fairlead_ctl)\n", "links fairlead_ctl (ctl)")

    def test_a_link_to_something_unknown(self):
        self.expect("check-deps", "state/CMakeLists.txt",
                    "fairlead_library(state SOURCES a.cc LINK fairlead_base)\ntarget_link_libraries(fairlead_state PRIVATE m)\n",
                    "links m, which")

    def test_rules_that_cannot_be_found(self):
        self.expect("check-deps", "docs/architecture.md", "# x\n## Who may use what\nnothing\n## End\n", "was not found")

    def test_a_long_function(self):
        self.expect("check-size", "ctl/x.cc", "namespace a {\n" + LONG + "}\n", "ctl/x.cc:2: a function of 61 lines")

    def test_a_long_function_with_parameters_over_two_lines(self):
        self.expect("check-size", "ctl/x.cc", LONG.replace("f()", "f(int a,\n      int b)"), "ctl/x.cc:1: a function of 62")

    def test_a_long_python_function(self):
        self.expect("check-size", "ctl/x.py", "def f():\n" + "    g()\n" * 60, "ctl/x.py:1: a function of 61")

    def test_a_long_file(self):
        self.expect("check-size", "ctl/x.h", "int x;\n" * 401, "ctl/x.h: 401 lines")

    def test_a_shell(self):
        self.expect("check-words", "ctl/x.cc", 'int x = system("ls");\n', "ctl/x.cc:1: system")
        self.write("ctl/x.cc", "int x = operating_system(); // system(\n")
        self.assertEqual(self.run_check("check-words"), (0, ""))

    def test_a_header_one_compiler_lacks(self):
        self.expect("check-words", "ctl/x.h", "#include <format>\n", "not in both compilers")

    def test_json_in_a_header(self):
        self.expect("check-words", "ctl/x.h", "#include <nlohmann/json.hpp>\n", "base/json.h")


if __name__ == "__main__":
    unittest.main(verbosity=0)
