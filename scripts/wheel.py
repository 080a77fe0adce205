"""Put the reference values of the tests into a wheel, so that `comfrey verify` runs where Comfrey is installed.

An editable install reads them from the source tree, and gets no copies that could grow old.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ReferenceValues(BuildHookInterface):
    """A hook of the wheel's build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files, unless the install is an editable one."""
        if version != "editable":
            build_data["force_include"]["tests/reference"] = "comfrey/ledger/reference"
