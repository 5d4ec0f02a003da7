"""`python -m tools.hub`: the hub and the commands that talk to it."""

import sys

from tools.hub.cli import main

sys.exit(main())
