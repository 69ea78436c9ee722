"""A Jupyter kernel in which tests run cells, and the outputs that a saved notebook would contain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Cell:
    """The outputs of a cell after it has finished.

    Attributes:
        displays: {number of the display: its last data by MIME type}, in the order of their first appearance.
        text: Text that was written to stdout.
        error_text: Text that was written to stderr.
        result: Data of the value of the last line, by MIME type; empty if there is none.
        error: Name of the exception that ended the cell; empty if there is none.
    """

    displays: dict[str, dict[str, Any]] = field(default_factory=dict)
    text: str = ""
    error_text: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def receive(self, kind: str, content: dict[str, Any]) -> None:
        """Add the content of one message of the kernel."""
        if kind in {"display_data", "update_display_data"}:
            name = content.get("transient", {}).get("display_id") or f"number {len(self.displays)}"
            self.displays[name] = content["data"]
        elif kind == "stream" and content["name"] == "stdout":
            self.text += content["text"]
        elif kind == "stream":
            self.error_text += content["text"]
        elif kind == "execute_result":
            self.result = content["data"]
        elif kind == "error":
            self.error = content["ename"]


class Kernel:
    """A running kernel."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str) -> Cell:
        """Run a cell, and return its outputs."""
        cell, identity = Cell(), self._client.execute(code)
        while True:
            message = self._client.get_iopub_msg(timeout=240)
            if message["parent_header"].get("msg_id") != identity:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return cell
            cell.receive(message["msg_type"], message["content"])


@contextmanager
def kernel(folder: str) -> Iterator[Kernel]:
    """Start a kernel in a folder; skip the test if the package ipykernel is not installed."""
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: no tests in a notebook")
    manager_module = pytest.importorskip("jupyter_client.manager")
    manager, client = manager_module.start_new_kernel(kernel_name="python3", startup_timeout=240, cwd=folder)
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
