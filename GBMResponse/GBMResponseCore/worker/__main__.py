"""`python -m GBMResponseCore.worker` starts a worker process; it speaks docs/worker-protocol.md."""

from .serve import main

raise SystemExit(main())
