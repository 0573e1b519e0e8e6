"""`python -m cli.ingest_hosting_capacity --utility pge` is `hc ingest --utility pge`."""

import sys

from hc_platform.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "ingest")
    main()
