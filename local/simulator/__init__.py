"""A simulator of Azure Face: the documented API, and device ids that choose the outcome of a check."""

from local.simulator.scenarios import SCENARIOS, Scenario
from local.simulator.server import FaceSimulator
from local.simulator.sessions import Session

__all__ = ["SCENARIOS", "FaceSimulator", "Scenario", "Session"]
