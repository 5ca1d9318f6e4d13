"""`python -m geomem` is `geomem`."""

import sys

from geomem.cli import main

sys.exit(main())
