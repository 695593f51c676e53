"""The edge: command line, Ray actors, the stage pipeline, reports."""

import os

# Ray reads these when it is first imported, wherever in this package that happens; later they would
# break its start. Clusters ask for a token unless the operator says otherwise.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
