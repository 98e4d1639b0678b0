"""`python -m GBMResponseCore` is the command `gbmresponse`."""

import sys

from .cli import main

sys.exit(main())
