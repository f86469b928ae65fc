"""Microsoft's own parser of Kusto queries, which scripts/kusto.sh installs."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra.bicep_compiler import ROOT
from tests.infra.log_tables import TABLES

_FOLDER = ROOT / ".tools/kusto/node_modules/@kusto/language-service-next"
_MISSING = "The parser of Kusto queries is not installed: run scripts/kusto.sh, which needs Node and npm."


def faults_of(queries: Mapping[str, str]) -> dict[str, list[str]]:
    """The faults of each query: its grammar, and each table, column, function and type that it uses.

    Fields of a dynamic value, such as those of our own log lines, are not known to the parser. Without the parser the
    test is skipped, or fails in CI.
    """
    node = shutil.which("node")
    if node is None or not _FOLDER.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(_MISSING)
    run = subprocess.run(  # noqa: S603 - the program is the one that was looked up.
        [node, str(Path(__file__).with_suffix(".js")), str(_FOLDER)],
        input=json.dumps({"tables": TABLES, "queries": queries}),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(run.stdout)
    return found
