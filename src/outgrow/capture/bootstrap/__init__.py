"""A folder for the front of `PYTHONPATH`: every Python started with it records the models it calls.

Python imports `sitecustomize` from there as it starts; what is asked for comes in the variable
`OUTGROW_RECORD`.
"""

__all__ = ["VARIABLE", "environment"]

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLE = "OUTGROW_RECORD"
"""The environment variable with the options of `ScriptRecording`, as JSON."""


def environment(options: Mapping[str, Any]) -> dict[str, str]:
    """This process's environment, for a command whose Pythons are to record with `options`."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, VARIABLE: json.dumps(options)}
