"""What `make size` measures still fits the library: each operation runs, under the Unix port."""

import pytest

from host_tests.e2e.device_program import run_text
from tools.size.plan import PROBES_FOLDER

_PROGRAM = f"""
import json, sys
sys.path.append({str(PROBES_FOLDER)!r})
probe = __import__(sys.argv[1])
names = []
for name, operation in getattr(probe, "OPERATIONS", ()) + getattr(probe, "ONCE", ()):
    operation()
    operation()
    names.append(name)
print(json.dumps(names))
"""


@pytest.mark.parametrize("probe", sorted(path.stem for path in PROBES_FOLDER.glob("*.py")))
def test_the_operations_of_a_probe_run(probe, tmp_path):
    names = run_text(_PROGRAM, tmp_path, probe)
    assert len(set(names)) == len(names) > 0
